"""Minimal Debian roots, and what a newcomer does in them."""
