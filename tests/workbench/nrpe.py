"""An nrpe daemon with the shipped commands, and check_nrpe."""

from __future__ import annotations

import contextlib
import pathlib
import subprocess
from collections.abc import Iterator
from typing import NamedTuple

from workbench.command import CONTRIB
from workbench.daemons import Account, Daemon, daemon, free_port, listens, program
from workbench.watched_host import WatchedHost

SHIPPED = CONTRIB / "nrpe/tcp-headroom.cfg"
INSTALLED = "/usr/lib/nagios/plugins"
"""Where the shipped file looks for the plugins."""

FALLBACK = "CHECK_NRPE: Receive header underflow - only -1 bytes received (4 expected).\n"
"""What check_nrpe -3 prints, without TLS, before it asks again with version 2: NRPE 4.1.0 refuses version 3."""


class Nrpe(NamedTuple):
    """A daemon, the port it answers on, and what check_nrpe needs to be told to speak with it."""

    daemon: Daemon
    port: int
    options: list[str]

    def ask(self, command: str, *options: str) -> tuple[int, str]:
        client = program("nagios-nrpe-plugin", f"{INSTALLED}/check_nrpe", "/usr/lib64/nagios/plugins/check_nrpe")
        done = subprocess.run(
            [client, "-H", "127.0.0.1", "-p", str(self.port), *self.options, "-D", "-c", command, *options],
            env={}, cwd="/", capture_output=True, text=True,
        )  # fmt: skip
        return done.returncode, done.stdout.removeprefix(FALLBACK)


class Site(NamedTuple):
    """A host with NRPE: its state, its plugins, its directory, its user."""

    host: WatchedHost
    plugins: pathlib.Path
    directory: pathlib.Path
    user: Account

    @contextlib.contextmanager
    def nrpe(
        self, name: str, *options: str, wrapper: tuple[str, ...] = (), commands: str = "",
        rights: dict[str, object] | None = None, address: str = "127.0.0.1", port: int = 0,
    ) -> Iterator[Nrpe]:  # fmt: skip
        """A daemon that includes the shipped file, with nothing changed in it but the plugin directory."""
        port = port or free_port()
        shipped = self.directory / "tcp-headroom.cfg"
        shipped.write_text(SHIPPED.read_text().replace(INSTALLED, str(self.plugins)))
        configuration = self.directory / f"{name}.cfg"
        configuration.write_text(
            f"server_address={address}\nserver_port={port}\nallowed_hosts=127.0.0.0/8\ndont_blame_nrpe=0\n"
            f"nrpe_user={self.user.name}\nnrpe_group={self.user.gid}\ndisable_syslog=1\n"
            f"pid_file={self.directory}/{name}.pid\nlog_file={self.directory}/{name}.nrpe.log\n"
            f"include={shipped}\ncommand[id]=/usr/bin/id\n{commands}"
        )
        server = program("nagios-nrpe-server", "/usr/sbin/nrpe")
        with daemon(
            [*wrapper, server, "-c", configuration, "-f", *options],
            self.directory / f"{name}.log", self.user.rights if rights is None else rights,
        ) as running:  # fmt: skip
            running.until(lambda: listens(port, address), "nrpe answers")
            yield Nrpe(running, port, list(options))
