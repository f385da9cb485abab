"""What is known from earlier runs?

``state`` is the file; each other module keeps one thing in it: ``log_history`` what earlier runs saw of the kernel
log, ``abort_growth`` the counter of resets, ``orphan_peak`` the most orphans of each day, ``growth`` other counters by
name, such as those of OpenVZ, ``failcnt``.

Imported by ``commands``, ``verdict`` and ``limits``. It may import ``log`` and ``proc``.
"""
