"""What do the two limits mean, and are they sane for this machine?

``tcp_max_orphans`` and ``tcp_mem`` read the limits and know their arithmetic, ``mem_unit`` what the kernel counts in
where pages are not 4 KiB; ``kernel_defaults`` is what the kernel sets by itself, from ``memory_at_boot``; ``drift``
compares running with persisted values, ``review`` joins all that can be said of both, ``findings`` says what is wrong,
and ``advice`` puts it into next steps and lines to type; ``raising`` is what tcp_mem may be raised to.

Imported by ``commands`` and ``verdict``. It may import ``boot``, ``memory`` and ``proc``.
"""
