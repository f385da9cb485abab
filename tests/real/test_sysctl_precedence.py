"""Which assignment wins: the reader and the real tools on the same trees, which they apply in a namespace."""

from __future__ import annotations

import functools
import pathlib
import subprocess
import tempfile
from collections.abc import Mapping
from typing import Optional

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tcp_headroom.boot import sysctl_files
from tcp_headroom.boot.sysctl_rules import BUSYBOX, PROCPS, SYSTEMD
from workbench.sysctl_trees import INITS, KEYS, boot, plant, require

TOOLS = (SYSTEMD, PROCPS, BUSYBOX)
KEY = KEYS[0]

D = "/etc/sysctl.d"
L = "/usr/local/lib/sysctl.d"
U = "/usr/lib/sysctl.d"
CONF = "/etc/sysctl.conf"

EXAMPLES = 100

# K stands for the key; an answer is the value and where it is said.
Answer = Optional[str]
TREES: list[tuple[str, Mapping[str, str], Answer | tuple[Answer, Answer, Answer]]] = [
    ("nothing", {}, None),
    ("another key", {f"{D}/a.conf": "net.ipv4.tcp_fin=9\n"}, None),
    ("later in the file", {f"{D}/a.conf": "K=11\n\nK=12\nnet.core.x=1\n"}, f"12 {D}/a.conf:3"),
    ("later name", {f"{D}/b.conf": "K=12\n", f"{D}/a.conf": "K=11\n"}, f"12 {D}/b.conf:1"),
    ("names by bytes", {f"{D}/a.conf": "K=11\n", f"{D}/B.conf": "K=12\n"}, f"11 {D}/a.conf:1"),
    ("numbers are text", {f"{D}/9.conf": "K=11\n", f"{D}/10.conf": "K=12\n"}, f"11 {D}/9.conf:1"),
    ("not .conf", {f"{D}/a.conf": "K=11\n", f"{D}/z.con": "K=12\n", f"{D}/zconf": "K=13\n"}, f"11 {D}/a.conf:1"),
    (
        "later name in another directory",
        {f"{U}/b.conf": "K=12\n", f"{D}/a.conf": "K=11\n"},
        (f"12 {U}/b.conf:1", f"12 {U}/b.conf:1", f"11 {D}/a.conf:1"),
    ),
    (
        "/usr/local/lib",
        {f"{L}/b.conf": "K=12\n", f"{U}/b.conf": "K=13\n", f"{U}/a.conf": "K=11\n"},
        (f"12 {L}/b.conf:1", f"12 {L}/b.conf:1", f"13 {U}/b.conf:1"),
    ),
    ("same name", {f"{U}/a.conf": "K=11\n", f"{D}/a.conf": "K=12\n", f"{U}/0.conf": "K=13\n"}, f"12 {D}/a.conf:1"),
    ("masked by an empty file", {f"{U}/b.conf": "K=11\n", f"{D}/b.conf": ""}, None),
    (
        "masked by a link to the null device",
        {f"{U}/b.conf": "K=11\n", f"{D}/b.conf": "-> /dev/null"},
        (None, None, f"11 {U}/b.conf:1"),
    ),
    (
        "masked by a link to nothing",
        {f"{U}/b.conf": "K=11\n", f"{D}/b.conf": "-> gone"},
        (None, None, f"11 {U}/b.conf:1"),
    ),
    ("masked by a loop", {f"{U}/b.conf": "K=11\n", f"{D}/b.conf": "-> b.conf"}, (None, None, f"11 {U}/b.conf:1")),
    ("masked by a directory", {f"{U}/b.conf": "K=11\n", f"{D}/b.conf/": ""}, (None, None, f"11 {U}/b.conf:1")),
    ("sysctl.conf", {CONF: "K=11\n"}, (None, f"11 {CONF}:1", f"11 {CONF}:1")),
    (
        "sysctl.conf is last",
        {f"{D}/z.conf": "K=12\n", CONF: "K=11\n"},
        (f"12 {D}/z.conf:1", f"11 {CONF}:1", f"11 {CONF}:1"),
    ),
    (
        "Debian's link to sysctl.conf",
        {f"{D}/99-sysctl.conf": "-> ../sysctl.conf", f"{D}/98.conf": "\nK=12\n", CONF: "K=11\n"},
        (f"11 {D}/99-sysctl.conf:1", f"11 {CONF}:1", f"11 {CONF}:1"),
    ),
    ("an absolute link", {f"{D}/a.conf": "-> /etc/own/x", "/etc/own/x": "K=11\n"}, f"11 {D}/a.conf:1"),
    ("a linked directory", {D: "-> own", "/etc/own/a.conf": "K=11\n"}, f"11 {D}/a.conf:1"),
    ("a hidden file", {f"{D}/.a.conf": "K=11\n"}, (None, f"11 {D}/.a.conf:1", None)),
    ("taken back", {f"{D}/a.conf": "K=11\n-K\n"}, (None, f"11 {D}/a.conf:1", f"11 {D}/a.conf:1")),
    ("taken back, set again", {f"{D}/a.conf": "K=11\n-K\nK=12\n"}, f"12 {D}/a.conf:3"),
    ("a key against a pattern", {f"{D}/a.conf": "K=11\n", f"{D}/b.conf": "net.ipv4.tcp_fin*=12\n"}, f"11 {D}/a.conf:1"),
    ("barred from a pattern", {f"{D}/a.conf": "-K\nnet.ipv4.tcp_fin*=12\n"}, None),
    ("barred from a pattern, later", {f"{D}/a.conf": "net.ipv4.tcp_fin*=12\n", f"{D}/b.conf": "-K\n"}, None),
    (
        "the later of two patterns",
        {f"{D}/a.conf": "net.ipv4.tcp_fin*=11\nnet.*.tcp_fin_timeout=12\n"},
        (f"12 {D}/a.conf:2", f"12 {D}/a.conf:2", None),
    ),
    (
        "a pattern again",
        {f"{D}/a.conf": "net.ipv4.tcp_fin*=11\nnet.*.tcp_fin_timeout=12\nnet.ipv4.tcp_fin*=11\n"},
        (f"12 {D}/a.conf:2", f"11 {D}/a.conf:3", None),
    ),
    (
        "a pattern again with another value",
        {f"{D}/a.conf": "net.ipv4.tcp_fin*=11\nnet.*.tcp_fin_timeout=12\nnet.ipv4.tcp_fin*=13\n"},
        (f"13 {D}/a.conf:3", f"13 {D}/a.conf:3", None),
    ),
]

# What each tool gets from the one line of a file.
LINES: list[tuple[str, bytes, Answer | tuple[Answer, Answer, Answer]]] = [
    ("blanks", b"  K \t=  17  \n", "17"),
    ("no newline, no blanks", b"K=17", "17"),
    ("path", b"net/ipv4/tcp_fin_timeout = 17\n", "17"),
    ("absolute path", b"/net/ipv4/tcp_fin_timeout = 17\n", ("17", "17", None)),
    ("empty parts", b"net..ipv4.tcp_fin_timeout = 17\n", "17"),
    ("empty parts of a path", b"net//ipv4/tcp_fin_timeout = 17\n", "17"),
    ("slash, then dot", b"net/ipv4.tcp_fin_timeout = 17\n", (None, None, "17")),
    ("dot, then slash", b"net.ipv4/tcp_fin_timeout = 17\n", None),
    ("comment", b"# K = 17\n", None),
    ("comment with a semicolon", b"  ;K = 17\n", None),
    ("no assignment", b"K 17\n", None),
    ("a colon", b"K: 17\n", None),
    ("a command", b"sysctl -w K=17\n", None),
    ("failure ignored", b"-K = 17\n", ("17", "17", None)),
    ("failure ignored, a blank", b"- K = 17\n", ("17", None, None)),
    ("two dashes", b"--K = 17\n", (None, "17", None)),
    ("carriage return", b"K = 17\r\n", "17"),
    ("carriage return alone", b"# x\rK = 17\n", ("17", None, None)),
    ("NUL ends the line", b"K = 17\08\n", "17"),
    ("NUL begins a line", b"# x\0K = 17\n", ("17", None, None)),
    ("a comment behind the value", b"K = 17 # sic\n", "17 # sic"),
    ("more than a number", b"K = 17 = 18\n", "17 = 18"),
    ("continued", b"net.ipv4.tcp_fin\\\n_timeout = 17\n", (None, None, "17")),
    ("continued at the end", b"K = 17\\", ("17\\", "17\\", "17")),
    ("a comment continued", b"# \\\nK = 17\n", ("17", "17", None)),
    ("a carriage return within", b"K = 17\r \\\n", ("17", "17\r \\", "17")),
    ("bytes that are no text", b"K = 17 \xff\n", "17 \ufffd"),
    ("a byte order mark", b"\xef\xbb\xbfK = 17\n", None),
    ("no value", b"K =\n", ("", "", None)),
    ("pattern", b"net.ipv4.tcp_fin_* = 17\n", ("17", "17", None)),
    ("pattern of a letter", b"net.ipv4.tcp_fin_timeou? = 17\n", ("17", "17", None)),
    ("pattern of a set", b"net.*.tcp_[fk]in_timeout = 17\n", ("17", "17", None)),
    ("pattern of a set, negated", b"net.ipv4.tcp_[!k]in_timeout = 17\n", ("17", "17", None)),
    ("pattern of a set, negated otherwise", b"net.ipv4.tcp_[^k]in_timeout = 17\n", ("17", "17", None)),
    ("pattern across a slash", b"net.*_fin_timeout = 17\n", None),
    ("pattern that fails", b"net.ipv4.tcp_[!f]in_timeout = 17\n", None),
]


def files_of(texts: Mapping[str, str | bytes]) -> dict[str, str | bytes]:
    return {p: t.replace("K", KEY) if isinstance(t, str) else t.replace(b"K", KEY.encode()) for p, t in texts.items()}


def answer_of(tool: str, answers: Answer | tuple[Answer, Answer, Answer]) -> Answer:
    return answers[TOOLS.index(tool)] if isinstance(answers, tuple) else answers


@functools.cache
def untouched(tool: str) -> dict[str, str]:
    """What the kernel gives a new namespace."""
    with tempfile.TemporaryDirectory() as folder:
        return boot(tool, plant(pathlib.Path(folder), {f"{U}/": ""}))


def kernel(value: str | None) -> str | None:
    """What the kernel takes of a value for a sysctl of one number: the first word, if that is a number.

    (``proc_dointvec``, kernel/sysctl.c)
    """
    first = (value or "").split(" ")[0]
    return first if first.isdecimal() else None


def really(tool: str, root: pathlib.Path) -> str | None:
    """What the real tool sets the key to."""
    value = boot(tool, root)[KEY]
    return None if value == untouched(tool)[KEY] else value


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("files, answers", [pytest.param(*rest, id=name) for name, *rest in TREES])
def test_precedence(
    tool: str, files: Mapping[str, str], answers: Answer | tuple[Answer, Answer, Answer], tmp_path: pathlib.Path
) -> None:
    require(tool)
    root = plant(tmp_path, {**INITS[tool], f"{U}/": "", **files_of(files)})
    found = sysctl_files.read(str(root), names=[KEY])
    assert found.boots == tool
    expected = answer_of(tool, answers)
    lines = [f"{s.value} {s.path}:{s.line}" for s in found.settings.values()]
    assert lines == ([] if expected is None else [expected])
    assert found.blind == []
    assert really(tool, root) == kernel(expected)


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("line, answers", [pytest.param(*rest, id=name) for name, *rest in LINES])
def test_line(tool: str, line: bytes, answers: Answer | tuple[Answer, Answer, Answer], tmp_path: pathlib.Path) -> None:
    require(tool)
    root = plant(tmp_path, {**INITS[tool], f"{U}/": "", **files_of({f"{D}/a.conf": line})})
    found = sysctl_files.read(str(root), names=[KEY]).settings
    value = found[KEY].value if found else None
    assert value == answer_of(tool, answers)
    assert really(tool, root) == kernel(value)


def test_a_pattern_taken_back_or_barred(tmp_path: pathlib.Path) -> None:
    """systemd takes the pattern back; procps bars what matches it, but passed over such lines before 4.0.5."""
    text = "net.*.tcp_fin_timeout=12\nnet.ipv4.tcp_fin*=11\n-net.ipv4.tcp_fin*\n"
    for tool, answer in ((SYSTEMD, "12"), (PROCPS, None)):
        require(tool)
        root = plant(tmp_path / tool, {**INITS[tool], f"{U}/": "", f"{D}/a.conf": text})
        found = sysctl_files.read(str(root), names=[KEY]).settings
        assert (found[KEY].value if found else None) == answer
        if tool == PROCPS and procps_version() < (4, 0, 5):
            answer = "11"
        assert really(tool, root) == answer


@functools.cache
def procps_version() -> tuple[int, ...]:
    text = subprocess.run(["/usr/sbin/sysctl", "--version"], capture_output=True, text=True).stdout
    return tuple(int(part) for part in text.split()[-1].split(".")[:3])


def test_three_numbers(tmp_path: pathlib.Path) -> None:
    """White space between the numbers is as good as one blank."""
    for tool in TOOLS:
        require(tool)
        root = plant(
            tmp_path / tool, {**INITS[tool], f"{U}/": "", f"{D}/a.conf": "net.ipv4.tcp_rmem =\t4096  5000\t6000 \n"}
        )
        setting = sysctl_files.read(str(root), names=KEYS).settings["net.ipv4.tcp_rmem"]
        assert setting == ("net.ipv4.tcp_rmem", "4096 5000 6000", f"{D}/a.conf", 1)
        assert boot(tool, root)["net.ipv4.tcp_rmem"] == setting.value


SPELLINGS = [
    *KEYS[:3],
    *(key.replace(".", "/") for key in KEYS[:3]),
    "net.ipv4.tcp_fin*",
    "net/ipv4/tcp_fin*",
    "net.ipv4.tcp_keepalive_*",
    "net.*.tcp_[fk]*e",
    "net.ipv4.tcp_keepalive_?????",
    "net.ipv4.tcp_keepalive_tim[a-e]",
    "net/ipv4.tcp_fin_timeout",
    "-net.ipv4.tcp_fin_timeout",
]
NUMBERS = st.integers(11, 99).map(str)
NAME = st.sampled_from(["a.conf", "b.conf", "9.conf", "B.conf", ".b.conf", "a.con"])
LINKS = st.sampled_from(["", "-> /dev/null", "-> gone", "-> ../sysctl.conf", "-> b.conf"])


def trees(barred: list[str], ends: list[str]) -> st.SearchStrategy[dict[str, str | dict[str, str]]]:
    """Files, and directories of files.

    ``barred`` are the keys that stand behind a dash without a value; ``ends`` is what may follow a value.
    """
    line = st.one_of(
        st.builds(
            "{}{}{}{}{}{}".format,
            st.sampled_from(["", "", "", " ", "-", "-", "\t- "]),
            st.sampled_from(SPELLINGS),
            st.sampled_from(["=", " = ", "\t=", "= "]),
            NUMBERS,
            st.sampled_from(["", "", "", *ends]),
            st.sampled_from(["\n", "\n", "\n\n", "\r\n", " \\\n"]),
        ),
        st.builds("-{}{}".format, st.sampled_from(barred), st.sampled_from(["\n", " \n", "\r"])),
        st.builds("{}{}\n".format, st.sampled_from(["# ", ";", "=", "x", "K: ", "K "]), st.sampled_from(["K=97", "7"])),
    )
    text = st.lists(line, max_size=6).map("".join)
    folder = st.dictionaries(NAME, st.one_of(text, text, text, LINKS), max_size=3)
    return st.fixed_dictionaries({}, optional={CONF: text, **{f"{path}/": folder for path in (D, L, U)}})


@pytest.mark.parametrize("tool", TOOLS)
@settings(max_examples=EXAMPLES)
@given(data=st.data())
def test_any_tree(tool: str, data: st.DataObject) -> None:
    """Whatever the files, the reader says what the real tool does."""
    require(tool)
    old = tool == PROCPS and procps_version() < (4, 0, 5)
    ends = [" ", "\0 7", " # so", "\0K=98"]
    if tool != BUSYBOX:
        # busybox stops at a value that the kernel refuses, as it does one with a CR before a continued line.
        ends += ["\r", "\r#"]
    tree = data.draw(trees(list(KEYS[:3]) if old else SPELLINGS, ends))
    files: dict[str, str | bytes] = {}
    for path, content in tree.items():
        if isinstance(content, str):
            files[path] = content
        else:
            files.update({path + name: text for name, text in content.items()})
    with tempfile.TemporaryDirectory() as folder:
        root = plant(pathlib.Path(folder), {**INITS[tool], f"{U}/": "", **files_of(files)})
        found = sysctl_files.read(str(root), names=KEYS[:3])
        values = {name: kernel(setting.value) for name, setting in found.settings.items()}
        # procps and busybox write what they find in turn, so a value before a refused one stays.
        assume(None not in values.values())
        assert found.blind == []
        assert {**untouched(tool), **values} == boot(tool, root)
        for setting in found.settings.values():
            line = (root / setting.path[1:]).read_bytes().split(b"\n")[setting.line - 1]
            assert setting.value[:2].encode() in line
