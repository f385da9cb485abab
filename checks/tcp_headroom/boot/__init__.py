"""What will set the limits at the next boot, and in which file and line?

``sysctl_files`` walks what the boot of this host reads, inside a ``host_root`` that nothing leads out of;
``init_system`` says whose rules hold, ``sysctl_rules`` has the rules; ``kernel_arguments`` and ``tuned`` are two
more who set sysctls, and ``live_tuners`` change them later.

Imported by ``commands`` and ``limits``. It may import ``proc``.
"""
