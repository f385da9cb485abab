"""Nagios and Icinga checks for the TCP socket memory of a Linux host.

Data flows one way, and each step has its modules:

===============  ==============================================================
reading          ``procfs`` (any file below a /proc root), ``sysctl``
parsing          ``sockstat``, ``netstat``, ``protocols``, ``orphan_limit``,
                 ``tcp_mem``, ``meminfo``, ``osrelease``: one kernel interface
                 each, text in, typed value out
the limits       ``kernel_defaults`` (what the kernel would set by itself),
                 ``drift`` (running against persisted), ``limit_review`` (what is
                 to be said of both), ``limit_steps`` (what to type)
the kernel log   ``kernel_messages`` (texts and causes), ``kmsg``, ``journal``,
                 ``log_file`` (three sources), the last with ``log_blocks`` (the
                 bytes of a file), ``log_rotation`` (its older parts), ``log_line``
                 (formats of a line); ``clock``; each source returns a
                 ``log_view``, and ``kernel_log`` chooses between them
between runs     ``state`` (the file), ``log_memory`` (what earlier runs saw of
                 the log), ``abort_growth`` (the counter since then),
                 ``orphan_peak`` (the most orphans of each day)
after a reboot   ``sysctl_files`` (what sets a limit at boot, and where), with
                 ``host_root`` (a tree that nothing leads out of),
                 ``init_system`` (whose rules), ``sysctl_rules`` (the rules),
                 ``kernel_arguments``, ``tuned``
the verdict      ``evidence`` (of all three, with ``beancounters``, the limits of
                 OpenVZ), ``verdict`` (which case, and what to do); ``-v`` alone
who holds them   ``sock_diag`` (the sockets, from the kernel), ``owners`` (by port,
                 peer network and process); with ``-v`` only
judging, wording ``check_tcp_orphans``, ``check_tcp_mem``,
                 ``check_tcp_kernel_log``, ``check_tcp_limits``: one command each
shared           ``plugin`` (what every command does alike), ``wording`` (foreign
                 text and numbers made fit to print), ``blind`` (the one error)
===============  ==============================================================

Nothing imports a command module.
"""

__version__ = "0.1.0"
