"""Nagios and Icinga checks for the TCP socket memory of a Linux host.

One package for each question; imports lead only down this list:

============  ================================================================
``commands``  the four checks, and what every command does alike
``verdict``   which case it is, by the evidence of all checks
``limits``    what the limits mean, and whether they are sane
``boot``      what will set them at the next boot
``memory``    what is known from earlier runs
``log``       what the kernel said, and how much of the time can be seen
``sockets``   who holds the orphans and the memory
``cgroups``   which container holds it, and which starves at a limit of its own
``proc``      what the files of /proc say
============  ================================================================

``wording`` makes foreign text and numbers fit to print, and ``blind`` is the one
error: something that is needed cannot be seen. Every package may import both.

But for annotations, which the build of the single file takes out, the source
runs on Python 3.6: ``namedtuple`` here is that of the standard library, whose
``defaults`` are new in 3.7.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import namedtuple as namedtuple
else:
    import collections

    def namedtuple(name, fields, defaults=()):
        made = collections.namedtuple(name, fields)
        made.__new__.__defaults__ = tuple(defaults)
        return made


__version__ = "1.0.0"
