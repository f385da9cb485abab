"""What tests/benchmark measures: one module for each of its selections."""
