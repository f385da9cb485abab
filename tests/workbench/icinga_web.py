"""Icinga DB and Icinga Web 2 in the foreground, on loopback, without systemd and without a web server of the system."""

from __future__ import annotations

import contextlib
import pathlib
import shutil
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from workbench.browser import Browser
from workbench.command import CONTRIB
from workbench.daemons import Account, account, daemon, free_port, give, listens, workspace
from workbench.director import INSTALLED, REFUSALS
from workbench.icinga2 import PASSWORD, Node
from workbench.machine import program
from workbench.mariadb import Database, Server

SCHEMAS = (
    pathlib.Path("/usr/share/icingadb/schema/mysql/schema.sql"),
    pathlib.Path("/usr/share/icingaweb2/schema/mysql.schema.sql"),
)
PUBLIC, ROUTER = "/usr/share/icingaweb2/public", "/usr/share/php/Icinga/Application/webrouter.php"


@contextlib.contextmanager
def redis(owner: Account) -> Iterator[int]:
    """The port of a Redis that keeps nothing on disk."""
    server = program("redis-server", "/usr/bin/redis-server")
    with workspace(owner) as directory:
        port = free_port()
        command = [server, "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", str(directory)]
        with daemon(command, directory / "log", owner.rights) as running:
            running.until(lambda: listens(port), "Redis answers")
            yield port


@contextlib.contextmanager
def icingadb(owner: Account, database: Database, redis_port: int) -> Iterator[None]:
    """What carries the objects and states of Icinga 2 from Redis to the database."""
    command = program("icingadb", "/usr/sbin/icingadb")
    with workspace(owner) as directory:
        config = directory / "config.yml"
        config.write_text(
            f"database: {{type: mysql, host: 127.0.0.1, port: {database.port}, database: {database.name}, "
            f"user: {database.user}, password: {database.password}}}\n"
            f"redis: {{host: 127.0.0.1, port: {redis_port}}}\n"
        )
        with daemon([command, "--config", config], directory / "log", owner.rights) as running:
            running.until(lambda: "Taking over" in running.log.read_text(errors="replace"), "Icinga DB is in charge")
            yield


class Web(NamedTuple):
    """Icinga Web 2: what it is configured by, and where it listens."""

    owner: Account
    directory: pathlib.Path
    """ICINGAWEB_CONFIGDIR."""
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        return {"ICINGAWEB_CONFIGDIR": str(self.directory), "HOME": str(self.directory)}


def ini(sections: Mapping[str, Mapping[str, object]]) -> str:
    """A file as Icinga Web reads it."""
    return "\n".join(
        f"[{name}]\n" + "".join(f'{key} = "{value}"\n' for key, value in options.items())
        for name, options in sections.items()
    )


def resource(database: Database) -> dict[str, object]:
    return {
        "type": "db", "db": "mysql", "host": "127.0.0.1", "port": database.port, "dbname": database.name,
        "username": database.user, "password": database.password, "charset": "utf8mb4",
    }  # fmt: skip


def configure(
    directory: pathlib.Path, node: Node, databases: tuple[Database, Database], redis_port: int, graphite: str
) -> None:
    """Icinga Web over ``databases``, of Icinga DB and its own, with the modules icingadb and graphite."""
    of_icingadb, own = databases
    files: dict[str, Mapping[str, Mapping[str, object]]] = {
        "config.ini": {
            "global": {"config_resource": "icingaweb_db", "module_path": INSTALLED},
            "logging": {"log": "file", "file": directory / "log", "level": "ERROR"},
        },
        "resources.ini": {"icingaweb_db": resource(own), "icingadb": resource(of_icingadb)},
        "authentication.ini": {"icingaweb2": {"backend": "db", "resource": "icingaweb_db"}},
        "roles.ini": {
            "Administrators": {
                "users": ", ".join(THEMES), "permissions": "*",
                "refusals": REFUSALS,
            }
        },
        "modules/icingadb/config.ini": {"icingadb": {"resource": "icingadb"}, "redis": {"tls": "0"}},
        "modules/icingadb/redis.ini": {"redis1": {"host": "127.0.0.1", "port": redis_port}},
        "modules/icingadb/commandtransports.ini": {
            "icinga2": {"transport": "api", "host": "127.0.0.1", "port": node.port, "username": "root", "password": PASSWORD}
        },
        "modules/graphite/config.ini": {"graphite": {"url": graphite}},
    }  # fmt: skip
    for name, sections in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(ini(sections))
    templates = directory / "modules/graphite/templates"
    templates.mkdir()
    shutil.copy(CONTRIB / "graphs/tcp-headroom.ini", templates)
    for user in THEMES:
        dashboards = directory / "dashboards" / user
        dashboards.mkdir(parents=True)
        shutil.copy(CONTRIB / "icingaweb2/tcp-headroom-dashboard.ini", dashboards / "dashboard.ini")
    enabled = directory / "enabledModules"
    enabled.mkdir()
    for module in ("icingadb", "graphite"):
        (enabled / module).symlink_to(INSTALLED / module)


THEMES = {"dark": "none", "light": "light"}
"""The users who may log in, and the mode of Icinga Web's theme that each has chosen."""


def add_users(server: Server, own: Database) -> None:
    """The users of ``THEMES``, with ``PASSWORD``."""
    for theme, mode in THEMES.items():
        hashed = account().run(
            program("php-cli", "/usr/bin/php"), "-r", "echo password_hash($argv[1], PASSWORD_DEFAULT);", PASSWORD
        )
        server.execute(
            f"INSERT INTO icingaweb_user (name, active, password_hash) VALUES ('{theme}', 1, '{hashed.stdout}');"
            "INSERT INTO icingaweb_user_preference (username, section, name, value) VALUES "
            f"('{theme}', 'icingaweb', 'theme_mode', '{mode}'), ('{theme}', 'icingaweb', 'timezone', 'UTC'), "
            f"('{theme}', 'icingaweb', 'auto_refresh', '0'), ('{theme}', 'icingaweb', 'language', 'en_US');",
            own.name,
        )


@contextlib.contextmanager
def served(owner: Account, directory: pathlib.Path) -> Iterator[Web]:
    """Icinga Web 2 by PHP's own server."""
    web = Web(owner, directory, free_port())
    give(directory, owner)
    sessions = directory / "sessions"
    sessions.mkdir()
    give(sessions, owner)
    command = [
        program("php-cli", "/usr/bin/php"), "-d", f"session.save_path={sessions}", "-d", "date.timezone=UTC",
        "-S", f"127.0.0.1:{web.port}", "-t", PUBLIC, ROUTER,
    ]  # fmt: skip
    # A page asks for its graphs at the same time.
    environment = {**web.environment, "PHP_CLI_SERVER_WORKERS": "4"}
    log = directory.parent / "php.log"
    with daemon(command, log, owner.rights, environment) as running:
        running.until(lambda: listens(web.port), "Icinga Web answers")
        yield web


def log_in(web: Web, window: Browser, user: str) -> None:
    """As one of ``THEMES``, in a browser that nobody has logged in with."""
    window.open(f"{web.url}/authentication/login")
    asked = "return document.readyState === 'complete' && document.querySelector('[name=username]') !== null"
    window.until(asked, "Icinga Web asks who it is")
    window.type("[name=username]", user)
    window.type("[name=password]", PASSWORD)
    window.click("[name=btn_submit]")
    window.until("return document.querySelector('#menu') !== null", f"{user} is logged in")


def open(web: Web, window: Browser, path: str) -> None:
    """A page, once all in it has been loaded."""
    window.open(f"{web.url}/{path}")
    window.until(
        "return document.readyState === 'complete' && document.querySelector('#main .content') !== null"
        " && !document.querySelector('#main').textContent.includes('Loading..')",
        f"{path} is loaded",
    )
    window.until(
        "return [...document.querySelectorAll('img.graphiteImg')].every(image => image.complete && image.naturalWidth > 1)",
        f"the graphs of {path} are drawn",
    )


def text(web: Web, window: Browser, path: str) -> str:
    """What a page says, with single blanks."""
    open(web, window, path)
    said: str = window.run("return document.querySelector('#main').textContent")
    # After commas Icinga Web allows for a new line.
    return " ".join(said.replace("\u200b", "").split())


def graphs(window: Browser) -> list[str]:
    """The templates of the graphs of the page, in their order; empty for a default one."""
    found: list[str] = window.run(
        "return [...document.querySelectorAll('img.graphiteImg')]"
        ".map(image => new URL(image.dataset.actualimageurl, document.baseURI).searchParams.get('template') || '')"
    )
    return found
