"""Calls of the single file, each in a process of its own, by whatever interpreter runs this, Python 3.6 or later.

    python3 -IS single_file_calls.py FILE STATE <calls >outputs

JSON in and out: a list of words for each call, the exit code and all that was printed for each. The modules are imported
once, out of the archive, so that a hundred calls take seconds. What is kept between runs is kept in STATE.
"""

import importlib
import json
import os
import pkgutil
import runpy
import sys
import tempfile


def call(file, words):
    """The exit code, and what was printed on either stream."""
    with tempfile.TemporaryFile() as output:
        child = os.fork()
        if not child:
            code = 70
            try:
                os.dup2(output.fileno(), 1)
                os.dup2(output.fileno(), 2)
                sys.argv = [file] + words
                runpy.run_path(file, run_name="__main__")
            except SystemExit as end:
                code = end.code
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        status = os.waitpid(child, 0)[1]
        output.seek(0)
        return [os.WEXITSTATUS(status) if os.WIFEXITED(status) else -1, output.read().decode("utf-8", "replace")]


def main():
    file, state = sys.argv[1:]
    sys.path.insert(0, file)
    import tcp_headroom

    assert tcp_headroom.__file__.startswith(file), tcp_headroom.__file__
    for module in pkgutil.walk_packages(tcp_headroom.__path__, "tcp_headroom."):
        importlib.import_module(module.name)
    sys.modules["tcp_headroom.memory.state"].SHARED = state
    json.dump([call(file, words) for words in json.load(sys.stdin)], sys.stdout)


if __name__ == "__main__":
    main()
