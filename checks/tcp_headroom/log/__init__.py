"""What did the kernel say about socket memory, and how much of the time can be seen?

``messages`` has the texts and their causes. Three sources, ``kmsg``, ``journal`` and ``files``, each return a view
as of ``views``; ``choice`` decides between them. A file is read by ``block_reader``, its older parts are found by
``rotation``, its lines understood by ``formats``.

Imported by ``commands``, ``verdict`` and ``memory``. It may import ``proc``.
"""
