"""A node of Icinga 2 in a directory of its own, and its API."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import pathlib
import shutil
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from workbench.command import CONTRIB, Output
from workbench.daemons import Account, Daemon, account, free_port, give, listens, program, wait_for

SHIPPED = CONTRIB / "icinga2"
PASSWORD = "for-this-test-only"
SERVICES = ("tcp_kernel_log", "tcp_limits", "tcp_mem", "tcp_orphans")


def icinga2() -> str:
    return program("icinga2-bin", "/usr/sbin/icinga2")


class Authority(NamedTuple):
    """A certificate authority made by Icinga 2."""

    directory: pathlib.Path

    @classmethod
    def create(cls, directory: pathlib.Path) -> Authority:
        made = cls(directory)
        (directory / "certs").mkdir(parents=True)
        made.run("new-ca")
        return made

    def run(self, *arguments: str) -> None:
        user = account("root")
        subprocess.run(
            [icinga2(), "pki", *arguments, "-D", f"DataDir={self.directory}"], check=True, stdout=subprocess.DEVNULL,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "ICINGA2_USER": user.name, "ICINGA2_GROUP": user.group},
        )  # fmt: skip

    def certify(self, name: str, certificates: pathlib.Path) -> None:
        """Write key and certificates of the node ``name`` where it looks for them."""
        certificates.mkdir(parents=True)
        key, request, certificate = (str(certificates / f"{name}.{end}") for end in ("key", "csr", "crt"))
        self.run("new-cert", "--cn", name, "--key", key, "--csr", request)
        self.run("sign-csr", "--csr", request, "--cert", certificate)
        (certificates / "ca.crt").write_bytes((self.directory / "ca/ca.crt").read_bytes())


class Node:
    """One Icinga 2: its files, its process while it runs, and its API at ``port``."""

    def __init__(
        self, directory: pathlib.Path, name: str, user: Account, authority: Authority, plugins: pathlib.Path
    ) -> None:
        self.directory = directory
        self.name = name
        self.user = user
        self.plugins = plugins
        self.port = free_port()
        self.running: Daemon | None = None
        authority.certify(name, directory / "data/certs")
        for part in ("etc", "cache", "log", "spool", "run"):
            (directory / part).mkdir()
        for shipped in SHIPPED.glob("*.conf"):
            shutil.copy(shipped, directory / "etc")

    def configure(self, text: str) -> None:
        """``text`` is added to what every node needs; the shipped files are beside it, in ConfigDir."""
        (self.directory / "etc/icinga2.conf").write_text(f"""
            const NodeName = "{self.name}"
            const PluginDir = "/usr/lib/nagios/plugins"
            const PluginContribDir = "{self.plugins}"
            include <itl>
            object CheckerComponent "checker" {{ }}
            object ApiListener "api" {{
                bind_host = "127.0.0.1"
                bind_port = {self.port}
                accept_commands = true
                tls_handshake_timeout = 30s
            }}
            object ApiUser "root" {{ password = "{PASSWORD}", permissions = [ "*" ] }}
            {text}
        """)
        give(self.directory, self.user)

    def command(self, *options: str) -> list[str]:
        """The daemon's command line, all of its directories moved to this node's."""
        parts = ("DataDir=data", "CacheDir=cache", "LogDir=log", "SpoolDir=spool", "InitRunDir=run", "ConfigDir=etc")
        places = [word for part in parts for word in ("-D", part.replace("=", f"={self.directory}/"))]
        return [icinga2(), "daemon", "-c", str(self.directory / "etc/icinga2.conf"), *places, *options]

    @property
    def environment(self) -> dict[str, str]:
        return {"ICINGA2_USER": self.user.name, "ICINGA2_GROUP": self.user.group}

    def validate(self) -> subprocess.CompletedProcess[str]:
        """The daemon's own check of the configuration."""
        return self.user.run(
            *self.command("-C"), environment={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **self.environment}
        )

    def start(self, *wrapper: str) -> None:
        """As its user, or as root by way of ``wrapper``, a command that starts the rest of its line."""
        rights: dict[str, object] = {} if wrapper else self.user.rights
        self.running = Daemon([*wrapper, *self.command()], self.directory / "output", rights, self.environment)
        self.running.until(lambda: listens(self.port), f"the API of {self.name} answers")

    def stop(self, *signals: int) -> None:
        if self.running:
            self.running.stop(*signals)
            self.running = None

    def ask(self, path: str, body: dict[str, Any] | None = None, method: str | None = None, user: str = "root") -> Any:
        """The ``results`` of a request to the API."""
        request = urllib.request.Request(
            f"https://127.0.0.1:{self.port}/v1/{path}",
            None if body is None else json.dumps(body).encode(),
            method=method,
            headers=self._headers(user),
        )
        with urllib.request.urlopen(request, timeout=20, context=self._trust()) as answer:
            return json.load(answer)["results"]

    def _trust(self) -> ssl.SSLContext:
        trust = ssl.create_default_context(cafile=str(self.directory / "data/certs/ca.crt"))
        trust.check_hostname = False
        return trust

    def _headers(self, user: str) -> dict[str, str]:
        login = base64.b64encode(f"{user}:{PASSWORD}".encode()).decode()
        return {"Accept": "application/json", "Authorization": f"Basic {login}"}

    @contextlib.contextmanager
    def submitting(self) -> Iterator[Callable[[str, str, float, Output], None]]:
        """A function that submits the result of a service, as of a moment; all over one connection."""
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=20, context=self._trust())

        def submit(host: str, service: str, when: float, output: Output) -> None:
            text, _bar, perfdata = output.text.rstrip("\n").partition(" | ")
            body = {
                "type": "Service", "service": f"{host}!{service}", "exit_status": output.code, "plugin_output": text,
                "performance_data": perfdata.split(), "execution_start": when, "execution_end": when,
            }  # fmt: skip
            connection.request("POST", "/v1/actions/process-check-result", json.dumps(body), self._headers("root"))
            # The answer comes in two packets, and the second waits for the first to be acknowledged.
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            with connection.getresponse() as answer:
                assert answer.status == 200, answer.read()
                answer.read()

        with contextlib.closing(connection):
            yield submit

    def evaluate(self, expression: str) -> Any:
        """The value of an expression in the running daemon's own language."""
        (result,) = self.ask(
            "console/execute-script", {"command": expression, "session": "test", "sandboxed": False}, "POST"
        )
        assert result["code"] == 200, result
        return result.get("result")

    def service(self, host: str, name: str) -> dict[str, Any]:
        """The attributes of a service."""
        (found,) = self.ask(f"objects/services/{host}!{name}")
        attributes: dict[str, Any] = found["attrs"]
        return attributes

    def check_now(self, host: str, name: str) -> None:
        """Have a service checked at once, without waiting for the result."""
        body = {"type": "Service", "service": f"{host}!{name}", "force": True}
        assert self.ask("actions/reschedule-check", body, "POST")[0]["code"] == 200

    def check(self, host: str, name: str) -> dict[str, Any]:
        """Have a service checked and return its attributes with the result of that check."""
        begun = asked = time.time()
        self.check_now(host, name)

        def done() -> dict[str, Any] | None:
            nonlocal asked
            if time.time() > asked + 10:
                # Icinga 2 drops the request if it is in the middle of a check of its own (Checkable::ExecuteCheck).
                asked = time.time()
                self.check_now(host, name)
            attributes = self.service(host, name)
            result = attributes["last_check_result"]
            return (
                attributes
                if result and result["schedule_start"] >= begun - 1 and result["execution_start"] >= begun
                else None
            )

        return wait_for(done, f"{name} of {host} is checked") or {}


@contextlib.contextmanager
def started(node: Node) -> Iterator[Node]:
    """A node that runs until the end."""
    try:
        node.start()
        yield node
    finally:
        node.stop()


def refused(node: Node, path: str, body: dict[str, Any], user: str) -> int:
    """HTTP status of a request that the API must refuse."""
    try:
        node.ask(path, body, "POST", user)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    return 200
