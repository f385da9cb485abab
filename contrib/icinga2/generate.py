"""Write the other files of this directory, all from one source.

That source is ``SERVICES`` below and the parsers of the commands: an option that is added, or a
help text that is changed there, is carried over by running, in the checkout,

    .venv/bin/python contrib/icinga2/generate.py

A new command needs a line in ``SERVICES``.
"""

from __future__ import annotations

import argparse
import importlib
import json
import pathlib
from collections.abc import Iterator
from typing import Any, NamedTuple

HERE = pathlib.Path(__file__).parent


class Service(NamedTuple):
    """How one command is used as a service."""

    command: str
    """The executable: ``check_tcp_orphans``."""
    interval: int
    """Seconds between checks."""
    retry: int
    """Seconds between checks while a state is soft."""
    attempts: int
    """Checks until a state is hard."""
    notes: str
    graphs: dict[str, Any]
    """Custom variables that the module Performance Data Graphs reads, without ``perfdatagraphs_`` before them."""

    @property
    def variables(self) -> dict[str, Any]:
        """The custom variables of the service template."""
        return {f"perfdatagraphs_{name}": value for name, value in self.graphs.items()}

    @property
    def name(self) -> str:
        """Name of the CheckCommand and of the service, and first part of its variables."""
        return self.command[len("check_") :]


NEXT = "What to do stands in the status text after 'Next:', the reasons in the output of -v. contrib/doc/runbook.md has an entry for every text."

PERCENTAGE = {"unit": "percentage"}

SERVICES = (
    Service(
        "check_tcp_orphans",
        60,
        30,
        3,
        f"Orphaned TCP sockets against tcp_max_orphans. {NEXT}",
        {
            "config_highlight": "orphans",
            # What is left of the limit is the same curve upside down, without a level.
            "config_metrics_exclude": ["headroom_*", "container_headroom_*"],
            "metrics": {"usage": PERCENTAGE, "container_usage": PERCENTAGE},
        },
    ),
    Service(
        "check_tcp_mem",
        60,
        30,
        3,
        f"Memory of all TCP sockets against tcp_mem. {NEXT}",
        {
            "config_highlight": "bytes",
            "config_metrics_exclude": ["pages"],
            "metrics": {"bytes": {"unit": "bytes"}, "usage": PERCENTAGE, "memory_usage": PERCENTAGE},
        },
    ),
    # Hard after 7 minutes at most, of the 60 for which --lookback keeps a hit in sight.
    Service(
        "check_tcp_kernel_log",
        300,
        60,
        3,
        f"Kernel messages about TCP socket memory within the last hour. {NEXT}",
        {"config_highlight": "hits", "metrics": {"coverage": PERCENTAGE}},
    ),
    # What it judges changes rarely.
    Service(
        "check_tcp_limits",
        3600,
        60,
        3,
        f"The limits themselves: by the defaults of the kernel, the peak of orphans, and what a reboot would set. {NEXT}",
        {
            "config_highlight": "orphans_peak",
            "metrics": {"orphans_limit_pct": PERCENTAGE, "mem_limit_pct": PERCENTAGE},
        },
    ),
)


class Argument(NamedTuple):
    """One entry in the ``arguments`` of a CheckCommand."""

    key: str
    """The option: ``--lookback``."""
    variable: str
    """The custom variable that gives its value: ``tcp_kernel_log_lookback``."""
    kind: str
    """``value``, ``list`` (repeated), ``flag``, or ``level`` (1 to 3, how often the letter in key is given)."""
    text: str
    """The help text."""


def arguments(service: Service) -> Iterator[Argument]:
    """Every option of the command, except those that only print something about it."""
    parser: argparse.ArgumentParser = importlib.import_module(f"tcp_headroom.commands.{service.command}").build_parser()
    kinds = {"_StoreAction": "value", "_AppendAction": "list", "_StoreTrueAction": "flag", "_CountAction": "level"}
    for action in parser._actions:
        if isinstance(action, (argparse._HelpAction, argparse._VersionAction)):
            continue
        key = next(option for option in action.option_strings if option.startswith("--"))
        kind = kinds[type(action).__name__]
        variable = f"{service.name}_{key[2:].replace('-', '_')}"
        if kind == "level":
            key = next(option for option in action.option_strings if not option.startswith("--"))
        yield Argument(key, variable, kind, (action.help or "") % {**vars(action), "prog": parser.prog})


def shown(argument: Argument) -> str:
    """The help text as the description of a variable."""
    text = argument.text[:1].upper() + argument.text[1:]
    return f"{text}; 1, 2 or 3" if argument.kind == "level" else text


def entries(argument: Argument) -> Iterator[tuple[str, dict[str, Any]]]:
    """The argument in the words of Icinga 2; a value of ``{{ }}`` is an expression."""
    macro = f"${argument.variable}$"
    if argument.kind == "level":
        for level in (1, 2, 3):
            # A variable that was typed into a form, or given to Director's command line, is a string.
            condition = f'{{{{ String(macro("{macro}")) == "{level}" }}}}'
            yield f"-{argument.key[1:] * level}", {"set_if": condition, "description": shown(argument)}
    elif argument.kind == "flag":
        yield argument.key, {"set_if": macro, "description": shown(argument)}
    elif argument.kind == "list":
        yield argument.key, {"value": macro, "repeat_key": True, "description": shown(argument)}
    else:
        yield argument.key, {"value": macro, "description": shown(argument)}


def dsl(value: object) -> str:
    """A value in Icinga 2's language."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and value.startswith("{{"):
        return value
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {dsl(item)}" for key, item in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False)


def duration(seconds: int) -> str:
    return f"{seconds // 60}m" if seconds % 60 == 0 else f"{seconds}s"


def commands_conf() -> str:
    """The CheckCommands and the service templates."""
    text = """\
/* tcp-headroom: CheckCommands and service templates, made by generate.py.
 *
 * For every node: the masters and, where services are executed by command_endpoint, the agents,
 * by a global zone or by a copy. The plugins are looked for in PluginContribDir, which
 * /etc/icinga2/constants.conf sets. Each option has a variable of its own, named after it; one
 * that is not set is left to the plugin, whose defaults suit most hosts.
 *
 * notes_url is set where this constant is defined, in constants.conf say, as the address at which
 * you keep contrib/doc/runbook.md:   const TcpHeadroomRunbook = "https://..."
 *
 * vars.perfdatagraphs_... is for the module Performance Data Graphs of Icinga Web: which graph comes
 * first, which show nothing more, and the units.
 */
"""
    for service in SERVICES:
        text += f'\nobject CheckCommand "{service.name}" {{\n'
        text += f'\tcommand = [ PluginContribDir + "/{service.command}" ]\n\n\targuments = {{\n'
        for argument in arguments(service):
            for key, entry in entries(argument):
                text += f'\t\t"{key}" = {{\n'
                text += "".join(f"\t\t\t{name} = {dsl(value)}\n" for name, value in entry.items())
                text += "\t\t}\n"
        text += "\t}\n}\n"
    for service in SERVICES:
        variables = "".join(f"\tvars.{name} = {dsl(value)}\n" for name, value in service.variables.items())
        text += f"""
template Service "{template(service)}" {{
	check_command = "{service.name}"
	check_interval = {duration(service.interval)}
	retry_interval = {duration(service.retry)}
	max_check_attempts = {service.attempts}
	notes = {dsl(service.notes)}
{variables}	if (globals.contains("TcpHeadroomRunbook")) {{
		notes_url = globals.TcpHeadroomRunbook + "#{service.command}"
	}}
}}
"""
    return text


def template(service: Service) -> str:
    return f"tcp-headroom-{service.name.replace('_', '-')}"


ELSEWHERE = (
    '(host.address || host.address6) && !(host.address in [ "127.0.0.1", "localhost" ] || host.address6 == "::1") '
    "&& host.name != NodeName && !host.vars.tcp_headroom_local"
)
"""Condition of hosts that are not the machine of the node."""


def services_conf() -> str:
    """The apply rules for hosts whose checks are executed by the node that schedules them."""
    text = """\
/* tcp-headroom: the services of Linux hosts that are checked without an agent, made by generate.py.
 *
 * Needs tcp-headroom-commands.conf. The plugins read the machine they run on, so a rule takes only hosts that
 * are this machine: those without an address, with a loopback address, or named like this node.
 * Where the configuration is synchronised to nodes that schedule their own checks, set
 * vars.tcp_headroom_local = true for their hosts.
 */
"""
    for service in SERVICES:
        text += f"""
apply Service "{service.name}" {{
	import "{template(service)}"

	assign where host.vars.os == "Linux" && !host.vars.agent_endpoint
	ignore where host.vars.tcp_headroom_passive
	ignore where {ELSEWHERE}
}}
"""
    return text


def agent_services_conf() -> str:
    """The apply rules for hosts with an agent."""
    text = """\
/* tcp-headroom: the services of Linux hosts with an Icinga 2 agent, made by generate.py.
 *
 * Needs tcp-headroom-commands.conf, here and on the agent. vars.agent_endpoint of the host is the name of the
 * agent's endpoint, which executes the checks. Icinga 2 wants such a host to have a zone: it has
 * one if it is defined below zones.d.
 */
"""
    for service in SERVICES:
        text += f"""
apply Service "{service.name}" {{
	import "{template(service)}"
	command_endpoint = host.vars.agent_endpoint

	assign where host.vars.os == "Linux" && host.vars.agent_endpoint
	ignore where host.vars.tcp_headroom_passive
}}
"""
    return text


def passive_services_conf() -> str:
    """The user of the API and the services of hosts that submit their results."""
    names = ", ".join(dsl(service.name) for service in SERVICES)
    text = f"""\
/* tcp-headroom: the services of hosts that submit results themselves, made by generate.py.
 *
 * Needs tcp-headroom-commands.conf. For hosts with vars.tcp_headroom_passive = true; see ../systemd for the
 * timer that submits. The user exists where its password is defined, in constants.conf say:
 *   const TcpHeadroomApiPassword = "..."
 * It may submit results of these services, and nothing else. "passive", which Icinga 2 runs when
 * nothing has been submitted for three rounds of the timer, makes a service UNKNOWN.
 */

if (globals.contains("TcpHeadroomApiPassword")) {{
	object ApiUser "tcp-headroom" {{
		password = globals.TcpHeadroomApiPassword
		permissions = [
			{{
				permission = "actions/process-check-result"
				filter = {{{{ host.vars.tcp_headroom_passive && service.name in [ {names} ] }}}}
			}}
		]
	}}
}}
"""
    for service in SERVICES:
        text += f"""
apply Service "{service.name}" {{
	import "{template(service)}"
	check_command = "passive"
	check_interval = 15m
	retry_interval = 15m

	assign where host.vars.tcp_headroom_passive
}}
"""
    return text


def director_basket() -> str:
    """The same commands and templates for Icinga Director, and a set of the four services.

    Objects are found by name, so there are no UUIDs: a basket that is restored again changes what it made.
    The set has no ``assign_filter``, so that one of the user's own stays.
    """
    commands: dict[str, Any] = {}
    templates: dict[str, Any] = {}
    services: dict[str, Any] = {}
    fields: dict[str, Any] = {}
    for service in SERVICES:
        references = []
        options: dict[str, Any] = {}
        for argument in arguments(service):
            number = len(fields) + 1
            fields[str(number)] = {
                "varname": argument.variable,
                "caption": f"{service.name}: {argument.variable[len(service.name) + 1 :].replace('_', '-')}",
                "description": shown(argument),
                "datatype": "Icinga\\Module\\Director\\DataType\\DataType"
                + {"value": "String", "list": "Array", "flag": "Boolean", "level": "Number"}[argument.kind],
                "format": None,
                "settings": {},
            }
            references.append({"datafield_id": number, "is_required": "n", "var_filter": None})
            options.update((key, director_argument(entry)) for key, entry in entries(argument))
        commands[service.name] = {
            "object_name": service.name,
            "object_type": "object",
            "methods_execute": "PluginCheck",
            "command": f"PluginContribDir + /{service.command}",
            "arguments": options,
            "fields": references,
        }
        templates[template(service)] = {
            "object_name": template(service),
            "object_type": "template",
            "check_command": service.name,
            "check_interval": service.interval,
            "retry_interval": service.retry,
            "max_check_attempts": service.attempts,
            "notes": service.notes,
            "vars": service.variables,
            # The plugins read the machine they run on: without an agent that would be the master, for every host.
            "use_agent": True,
            "fields": [],
        }
        services[service.name] = {
            "object_name": service.name,
            "object_type": "object",
            "imports": [template(service)],
        }
    service_set = {
        "object_name": "tcp-headroom",
        "object_type": "template",
        "description": "How far a Linux host is from resetting TCP connections, for hosts with an Icinga 2 agent",
        "services": services,
    }
    basket = {
        "Command": commands,
        "ServiceTemplate": templates,
        "ServiceSet": {service_set["object_name"]: service_set},
        "Datafield": fields,
    }
    return json.dumps(basket, indent=4, ensure_ascii=False) + "\n"


def director_argument(entry: dict[str, Any]) -> dict[str, Any]:
    """Director keeps an expression without its braces, and says that it is one."""
    condition = entry.get("set_if", "")
    if not condition.startswith("{{"):
        return entry
    return {**entry, "set_if": condition[2:-2].strip(), "set_if_format": "expression"}


FILES = {
    "tcp-headroom-commands.conf": commands_conf,
    "tcp-headroom-services.conf": services_conf,
    "tcp-headroom-agent-services.conf": agent_services_conf,
    "tcp-headroom-passive-services.conf": passive_services_conf,
    "director-basket.json": director_basket,
}

if __name__ == "__main__":
    for name, write in FILES.items():
        (HERE / name).write_text(write(), encoding="utf-8")
