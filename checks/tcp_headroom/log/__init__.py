"""What did the kernel say about socket memory, and what proves that it said nothing else?

``messages`` has the texts and their causes. Three sources, ``kmsg``, ``journal`` and ``files``, each return a view
as of ``views`` with a ``proof`` of what it saw; ``choice`` asks them and joins them. The journal is read through
``journalctl``. A file is read by ``block_reader``, its older parts are found by ``rotation``, its lines understood by
``formats`` and dated by ``stamps``, ``samples`` and ``zones``; ``scan`` finds the messages in them, ``losses`` what the daemons
say they lost; ``file_proof`` says what the file proves, ``writer`` whether it is still written.

Imported by ``commands``, ``verdict`` and ``memory``. It may import ``proc``.
"""
