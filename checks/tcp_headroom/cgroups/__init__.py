"""Which container holds the memory, and which starves at a memory limit of its own?

``tree`` finds the cgroups that account for memory, ``holders`` ranks them by socket memory, ``throttled`` counts what
their limits slowed down, ``names`` calls them what people call them.

Imported by ``commands`` and ``verdict``, and for ``-v`` alone. It may import ``proc``.
"""
