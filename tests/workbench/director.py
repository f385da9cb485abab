"""Icinga Director in a configuration directory of Icinga Web 2, by its command line."""

from __future__ import annotations

import contextlib
import pathlib

import pytest

from workbench.daemons import Account, wait_for
from workbench.icinga2 import PASSWORD, SHIPPED, Node
from workbench.machine import program
from workbench.mariadb import Database

INSTALLED = pathlib.Path("/usr/share/icingaweb2/modules")
MODULES = ("incubator", "reactbundle", "director")
"""Director, and what it is made of."""

REFUSALS = "director/monitoring/hosts,director/monitoring/services,director/monitoring/services-ro"
"""For the role of who looks at Director's pages: without the module monitoring, those of services fail otherwise."""


def objects(node: Node) -> str:
    """What the configuration of ``node`` must have, in Icinga 2's language, for Director to deploy to it."""
    return f"""
        object Zone "master" {{ endpoints = [ "{node.name}" ] }}
        object Endpoint "{node.name}" {{ host = "127.0.0.1", port = {node.port} }}
        object Zone "director-global" {{ global = true }}
    """


def configure(directory: pathlib.Path, database: Database, node: Node) -> None:
    """Add Director to a configuration directory of Icinga Web: its modules, ``database``, and ``node``, which it deploys to."""
    if not (INSTALLED / "director").exists():
        pytest.skip("Icinga Director is missing: apt-get install icingaweb2-module-director")
    own = directory / "modules/director"
    own.mkdir(parents=True)
    (directory / "enabledModules").mkdir(exist_ok=True)
    for module in MODULES:
        (directory / "enabledModules" / module).symlink_to(INSTALLED / module)
    with (directory / "resources.ini").open("a") as resources:
        resources.write(
            f'[director]\ntype = "db"\ndb = "mysql"\nhost = "127.0.0.1"\nport = "{database.port}"\ncharset = "utf8"\n'
            f'dbname = "{database.name}"\nusername = "{database.user}"\npassword = "{database.password}"\n'
        )
    (own / "config.ini").write_text('[db]\nresource = "director"\n')
    (own / "kickstart.ini").write_text(
        f'[config]\nendpoint = "{node.name}"\nhost = "127.0.0.1"\nport = {node.port}\n'
        f'username = "root"\npassword = "{PASSWORD}"\n'
    )


def icingacli(directory: pathlib.Path, user: Account, *words: str, given: str = "") -> str:
    """What ``icingacli director`` prints to ``user``, who must be able to read the configuration ``directory``."""
    command = program("icingacli", "/usr/bin/icingacli")
    done = user.run(command, "director", *words, environment={"ICINGAWEB_CONFIGDIR": str(directory)}, given=given)
    assert (done.returncode, done.stderr) == (0, ""), (words, done.stdout + done.stderr)
    return done.stdout


def kickstart(directory: pathlib.Path, user: Account) -> None:
    """Make the tables and learn from the running node what it has."""
    icingacli(directory, user, "migration", "run")
    icingacli(directory, user, "kickstart", "run")


def restore(directory: pathlib.Path, user: Account) -> None:
    """Restore the basket that is shipped."""
    icingacli(
        directory, user, "basket", "restore", given=(SHIPPED / "director-basket.json").read_text(encoding="utf-8")
    )


def pid(node: Node) -> int:
    """The process that answers: a node starts another whenever it loads its configuration."""
    (status,) = node.ask("status/IcingaApplication")
    number: int = status["status"]["icingaapplication"]["app"]["pid"]
    return number


def deploy(directory: pathlib.Path, user: Account, node: Node) -> str:
    """Deploy, and return what the node says of that configuration if it refuses it, else nothing, once it is loaded."""
    package = node.directory / "data/api/packages/director"
    before = set(package.glob("*/status"))
    replaced = pid(node)
    # config deploy --wait asks Director's own daemon, which does not run.
    icingacli(directory, user, "config", "deploy")

    def verdicts() -> list[pathlib.Path]:
        return [status for status in package.glob("*/status") if status not in before and status.read_text()]

    def reloaded() -> bool:
        with contextlib.suppress(OSError):  # while one process hands the port over to the next
            return pid(node) != replaced
        return False

    (status,) = wait_for(verdicts, "the node has validated what was deployed")
    if status.read_text() != "0":
        return (status.parent / "startup.log").read_text()
    wait_for(reloaded, "the node has loaded what was deployed")
    return ""
