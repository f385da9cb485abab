"""Write what the parsers of the commands know: the tables of options in checks.md, ../man and ../completion.

An option that is added, or a help text that is changed, is carried over by running, in the checkout,

    .venv/bin/python contrib/doc/generate.py

The prose of a manual page, its states, perfdata and files are those of checks.md. shtab writes the completion.
"""

from __future__ import annotations

import argparse
import importlib
import pathlib
import re
from collections.abc import Iterator
from typing import Any

import shtab

from tcp_headroom import __version__
from tcp_headroom.commands import options

HERE = pathlib.Path(__file__).parent
CHECKS = HERE / "checks.md"
COMMANDS = ("check_tcp_kernel_log", "check_tcp_limits", "check_tcp_mem", "check_tcp_orphans")
DATE = "November 26, 2026"
"""Of the manual pages: when their prose was last read as a whole."""


def parser_of(command: str) -> options.Parser:
    parser: options.Parser = importlib.import_module(f"tcp_headroom.commands.{command}").build_parser()
    return parser


def help_of(action: argparse.Action, parser: options.Parser) -> str:
    return (action.help or "") % {**vars(action), "prog": parser.prog}


# The tables of options.


def option_table(command: str) -> str:
    """The options as a table of Markdown, in the order of ``--help``."""
    parser = parser_of(command)
    lines = ["| option | meaning |", "| --- | --- |"]
    for group in parser._action_groups:
        for action in group._group_actions:
            value = f" {value_of(action)}" if value_of(action) else ""
            names = ", ".join(f"`{name}`" for name in action.option_strings[:-1])
            last = f"`{action.option_strings[-1]}{value}`".replace("|", "\\|")
            lines.append(f"| {', '.join(filter(None, [names, last]))} | {help_of(action, parser)} |")
    return "\n".join(lines) + "\n"


def value_of(action: argparse.Action) -> str:
    """What stands for the value of an option; empty for a flag."""
    if action.nargs == 0:
        return ""
    return "|".join(map(str, action.choices)) if action.choices else str(action.metavar)


def checks(text: str) -> str:
    """checks.md with the tables of options as the parsers have them."""
    return re.sub(
        r"(<!-- options of (\w+) -->\n).*?(?=<!-- end -->)",
        lambda found: found[1] + option_table(found[2]),
        text,
        flags=re.DOTALL,
    )


# The manual pages.


def manual_page(command: str, text: str) -> str:
    """The manual page of a command, by its parser and its section of checks.md."""
    parser = parser_of(command)
    own, everyone = section(text, command), section(text, "All checks")
    first = own.strip().partition("\n\n")[0]
    pages = {
        "NAME": roff(f"{command} - {summary(first)}") + "\n",
        "SYNOPSIS": f".B {roff(command)}\n.RI [ option \" ...]\"\n",
        "DESCRIPTION": "".join(f".PP\n{roff(paragraph)}\n" for paragraph in paragraphs(own)),
        "OPTIONS": "".join(manual_options(parser)),
        "PERFORMANCE DATA": "".join(listed(own, "perfdata")),
        "EXIT STATUS": "".join(exit_status(own)),
        "FILES": "".join(listed(own, "file")),
        "NOTES": "".join(f".PP\n{roff(paragraph)}\n" for paragraph in paragraphs(everyone)),
        "EXAMPLES": examples(parser),
        "SEE ALSO": see_also(command),
    }  # fmt: skip
    head = f'.\\" Made by contrib/doc/generate.py from the parser and from contrib/doc/checks.md.\n.TH {roff(command.upper())} 1 "{DATE}" "tcp\\-headroom {__version__}" "User Commands"\n'
    bodies = {title: re.sub(r"^\.PP\n", "", body) for title, body in pages.items()}
    return head + "".join(f".SH {title}\n{body}" for title, body in bodies.items())


def section(text: str, heading: str) -> str:
    return text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0].partition("\n### ")[0]


def summary(sentence: str) -> str:
    """The first sentence of a description as the line of ``whatis``: no capital, no full stop."""
    text = plain(" ".join(sentence.split())).partition(". ")[0].partition(":")[0].rstrip(".")
    return text[:1].lower() + text[1:]


def plain(markdown: str) -> str:
    """Markdown without its marks and without the targets of its links."""
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", markdown)
    return text.replace("**", "").replace("`", "").replace("\\|", "|")


def roff(markdown: str) -> str:
    """A paragraph for roff: one sentence a line, broken below 80 bytes, nothing taken for a request."""
    text = plain(" ".join(markdown.split())).replace("\\", "\\e").replace("-", "\\-").replace("~", "\\(ti")
    lines: list[str] = []
    for sentence in re.split(r"(?<=[.?!:;]) (?=[A-Z`(])", text):
        line = ""
        for word in sentence.split(" "):
            if len(line) + len(word) > 76:
                lines.append(line)
                line = word
            else:
                line = f"{line} {word}".strip()
        lines.append(line)
    return "\n".join(f"\\&{line}" if line[:1] in (".", "'") else line for line in lines)


def paragraphs(text: str) -> Iterator[str]:
    """The paragraphs of a section that are prose: no table, no block of output, no mark of this program."""
    text = re.sub(r"^<!-- options.*?<!-- end -->$", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r":\n\n```.*?```", ".", text, flags=re.DOTALL)
    for paragraph in text.strip().split("\n\n"):
        if paragraph.strip() and not paragraph.startswith("|"):
            yield paragraph


def manual_options(parser: options.Parser) -> Iterator[str]:
    for group in parser._action_groups:
        if not group._group_actions:
            continue
        yield f'.SS "{roff(str(group.title)).capitalize()}"\n'
        for action in group._group_actions:
            value = value_of(action)
            names = ", ".join(f"\\fB{roff(name)}\\fR" for name in action.option_strings)
            shown = f" \\fI{roff(value)}\\fR" if value else ""
            text = help_of(action, parser)
            yield f".TP\n{names}{shown}\n{roff(text[:1].upper() + text[1:])}.\n"


def rows(text: str, first: str) -> Iterator[list[str]]:
    """The cells of the table whose first column has this heading."""
    table = re.search(rf"^\| {first} \|.*\n\|[ -|]*\n((?:\|.*\n)*)", text, re.MULTILINE)
    assert table, first
    for line in table[1].splitlines():
        yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def listed(text: str, first: str) -> Iterator[str]:
    for name, meaning in rows(text, first):
        bold = ", ".join(f"\\fB{roff(part)}\\fR" for part in re.split(", (?=`)", name))
        yield f".TP\n{bold}\n{roff(meaning[:1].upper() + meaning[1:])}.\n"


def exit_status(text: str) -> Iterator[str]:
    for code, (state, when) in enumerate(rows(text, "state")):
        yield f".TP\n\\fB{code}\\fR, {state}\n{roff(when[:1].upper() + when[1:])}.\n"


def examples(parser: options.Parser) -> str:
    lines = str(parser.epilog).splitlines()[1:]
    return "".join(f".PP\n.nf\n{roff(line.strip())}\n.fi\n" for line in lines)


def see_also(command: str) -> str:
    others = [f".BR {roff(other)} (1)," for other in COMMANDS if other != command]
    return "\n".join([*others, ".BR ss (8),", ".BR tcp (7)"]) + "\n"


# The completion.


def completion(command: str, shell: str) -> str:
    """The completion of a command in bash or zsh, in the words of shtab."""
    parser: Any = parser_of(command)
    for action in parser._actions:
        if action.metavar == "PATH":
            action.complete = shtab.FILE
        elif action.metavar == "DIR" or "--journal-dir" in action.option_strings:
            action.complete = shtab.DIRECTORY
    written: str = shtab.complete(parser, shell=shell, root_prefix=command)
    return written.rstrip("\n") + "\n"


def files() -> Iterator[tuple[pathlib.Path, str]]:
    """Every file that is made here, and what belongs into it."""
    text = checks(CHECKS.read_text(encoding="utf-8"))
    yield CHECKS, text
    for command in COMMANDS:
        yield HERE.parent / f"man/{command}.1", manual_page(command, text)
        yield HERE.parent / f"completion/bash/{command}", completion(command, "bash")
        yield HERE.parent / f"completion/zsh/_{command}", completion(command, "zsh")


if __name__ == "__main__":
    for path, text in files():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
