"""Who holds the orphans and the memory?

``sock_diag`` asks the kernel for its sockets, ``owners`` adds them up by port, peer network and process, and ``closed``
finds those that no list shows.

Imported by ``commands``, and for ``-v`` alone. It may import ``proc``.
"""
