"""contrib/icinga2/director-basket.json in Icinga Director 1.10: it is restored, deployed, and the services run.

Debian has no later Director. By hand the same was done with the sources of 1.11.0 and 1.11.9, which write one line
into the activity log when a service set is restored again, one of their own basket, too, and change nothing else.
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from workbench import director
from workbench.daemons import Account, account, give, workspace
from workbench.icinga2 import SERVICES, Authority, Node, started
from workbench.mariadb import Server, mariadb
from workbench.watched_host import CRITICAL, OK, WatchedHost, direct, plugin_directory


class Site(NamedTuple):
    """A node, its Director, and the host that all plugins look at."""

    web: pathlib.Path
    user: Account
    node: Node
    server: Server
    watched: WatchedHost

    def add(self, host: str, **variables: object) -> None:
        """Have Director make a host with the set of services."""
        properties = {"object_type": "object", "check_command": "dummy", "vars": variables}
        director.icingacli(self.web, self.user, "host", "create", host, "--json", json.dumps(properties))
        use = {"object_type": "object", "host": host, "imports": ["tcp-headroom"]}
        director.icingacli(self.web, self.user, "serviceset", "create", "tcp-headroom", "--json", json.dumps(use))

    def contents(self) -> str:
        """A checksum of every table of Director."""
        tables = ", ".join(self.server.execute("SHOW TABLES", "director").split())
        return self.server.execute(f"CHECKSUM TABLE {tables}", "director")


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """The basket restored and deployed, with one host, which is the node."""
    user = account()
    with workspace(user) as directory, mariadb(user) as server:
        watched = WatchedHost(directory)
        authority = Authority.create(directory / "authority")
        node = Node(directory / "node", "node", user, authority, plugin_directory(directory, user, watched))
        node.configure(director.objects(node))
        with started(node):
            web = directory / "web"
            web.mkdir()
            director.configure(web, server.create("director"), node)
            give(web, user)
            director.kickstart(web, user)
            director.restore(web, user)
            site = Site(web, user, node, server, watched)
            site.add("node", tcp_orphans_verbose=1, tcp_mem_verbose="1", tcp_limits_verbose="3")
            assert director.deploy(web, user, node) == ""
            yield site


def test_services_print_what_the_plugins_print(site: Site) -> None:
    """A level of -v is the number of a form, or a string, as from Director's command line."""
    found = sorted(service["name"] for service in site.node.ask("objects/services"))
    assert found == [f"node!{name}" for name in SERVICES]
    levels = {"tcp_orphans": ["-v"], "tcp_mem": ["-v"], "tcp_limits": ["-vvv"], "tcp_kernel_log": []}
    for state in (CRITICAL, OK):
        site.watched.become(state)
        for name in SERVICES:
            result = site.node.check("node", name)["last_check_result"]
            plugin = site.node.plugins / f"check_{name}"
            assert result["command"] == [str(plugin), *levels[name]]
            code, printed = direct(plugin, site.user, *levels[name])
            assert code == result["exit_status"] == state
            assert result["output"].splitlines()[0].rstrip() == printed.partition(" |")[0].splitlines()[0]


def test_a_basket_restored_again_changes_nothing(site: Site) -> None:
    """Nor does it make a field a second time, which is known by its properties alone, or drop the user's assign filter."""
    rule = ("--assign_filter", 'host.vars.os="Linux"')
    director.icingacli(site.web, site.user, "serviceset", "set", "tcp-headroom", *rule)
    before = site.contents()
    director.restore(site.web, site.user)
    assert site.contents() == before


def test_a_host_without_an_agent_is_refused(site: Site) -> None:
    """Rather than shown with the numbers of the node."""
    site.add("elsewhere")
    assert "Object 'elsewhere' of type 'Endpoint' does not exist" in director.deploy(site.web, site.user, site.node)


def test_basket_and_commands_conf_exclude_each_other(site: Site) -> None:
    site.node.configure(f'{director.objects(site.node)}\ninclude "tcp-headroom-commands.conf"')
    refused = site.node.validate()
    assert refused.returncode != 0
    assert "Object 'tcp_orphans' of type 'CheckCommand' re-defined" in refused.stdout
