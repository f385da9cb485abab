"""The four checks, one module each; ``options`` and ``plugin``: what every command does alike;
``kernel_log``: what check_tcp_kernel_log sees.

Nothing imports this package but the entry points; it may import every other one.

A command says in one line, with exit code 3, that the library is missing, where Python
would exit 1, which means WARNING.
"""

from __future__ import annotations

try:
    import nagiosplugin as nagiosplugin
except ImportError as _error:
    import sys

    from tcp_headroom import wording

    print(
        f"TCP UNKNOWN - the Python library nagiosplugin cannot be imported by {sys.executable} "
        f"({wording.clean(str(_error))}); install it with: pip install nagiosplugin, or with the "
        "package python3-nagiosplugin"
    )
    sys.exit(3)
