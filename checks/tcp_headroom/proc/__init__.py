"""What does a file of /proc say? One module for each: the text is read by ``reading``, and parsed into a typed value.

``sysctl`` is for all of ``/proc/sys``, ``clock`` for the boot's identity and the clocks that go with it.

Imported by every other package. It imports none of them.
"""
