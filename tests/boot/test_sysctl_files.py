"""What a reboot sets: who boots a tree, what is passed over, what cannot be known, and hostile trees."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping

import pytest

from tcp_headroom.blind import Blind
from tcp_headroom.boot import host_root, init_system, kernel_arguments, sysctl_files
from tcp_headroom.boot.sysctl_rules import BUSYBOX, PROCPS, SYSTEMD
from workbench.sysctl_trees import INITS, plant

ORPHANS, MEM = sysctl_files.NAMES
D = "/etc/sysctl.d"
CONF = "/etc/sysctl.conf"
BOTH = f"{MEM} = 1 2 3\n{ORPHANS} = 7\n"


@pytest.fixture
def tree(tmp_path: pathlib.Path) -> pathlib.Path:
    """A tree that systemd boots, and beside it a /proc with an empty command line."""
    plant(tmp_path / "proc", {"cmdline": "quiet\n", "1/comm": "init\n"})
    return plant(tmp_path / "root", INITS[SYSTEMD])


def read(tree: pathlib.Path, running: bool = False) -> sysctl_files.Found:
    return sysctl_files.read(str(tree), procfs=str(tree.parent / "proc"), running=running)


def said(found: sysctl_files.Found) -> list[str]:
    return [f"{s.name} = {s.value} ({s.path}:{s.line})" for s in found.settings.values()]


def test_both_limits(tree: pathlib.Path) -> None:
    plant(tree, {f"{D}/50-x.conf": f"# mine\n{MEM} = 1\t2  3\n{ORPHANS}=65536\n"})
    found = read(tree)
    assert found.boots == SYSTEMD
    assert found.settings == {
        ORPHANS: (ORPHANS, "65536", f"{D}/50-x.conf", 3),
        MEM: (MEM, "1 2 3", f"{D}/50-x.conf", 2),
    }
    assert found.notes == found.blind == []


class TestWhatBoots:
    @pytest.mark.parametrize(
        "files, tool",
        [
            ({"run/systemd/system/": ""}, SYSTEMD),
            (INITS[SYSTEMD], SYSTEMD),
            (
                {"usr/lib/systemd/systemd": "", "usr/sbin/init": "-> ../lib/systemd/systemd", "sbin": "-> usr/sbin"},
                SYSTEMD,
            ),
            ({"lib/systemd/systemd-sysctl": ""}, SYSTEMD),
            ({"usr/lib/systemd/systemd-sysctl": "", "sbin/init": "", "sbin/sysctl": ""}, PROCPS),
            (INITS[PROCPS], PROCPS),
            ({"sbin/openrc-init": "", "sbin/init": "-> openrc-init", "usr/sbin/sysctl": ""}, PROCPS),
            (INITS[BUSYBOX], BUSYBOX),
            ({**INITS[PROCPS], "etc/alpine-release": "3.20.0\n"}, BUSYBOX),
            ({"sbin/init": "", "sbin/sysctl": "", "etc/openwrt_release": ""}, BUSYBOX),
        ],
    )
    def test_a_mounted_root(self, files: Mapping[str, str], tool: str, tmp_path: pathlib.Path) -> None:
        assert sysctl_files.read(str(plant(tmp_path, files))).boots == tool

    @pytest.mark.parametrize(
        "files, reason",
        [
            ({}, "the root given has no /sbin/init; REMEDY"),
            ({"sbin/sysctl": ""}, "the root given has no /sbin/init; REMEDY"),
            ({"sbin/init": "-> gone"}, "the root given has no /sbin/init; REMEDY"),
            ({"sbin/init": ""}, "there is no sysctl command; REMEDY"),
            (
                {"sbin/init": "-> init"},
                "cannot read /sbin/init: Too many levels of symbolic links",
            ),
        ],
    )
    def test_nothing_boots_it(self, files: Mapping[str, str], reason: str, tmp_path: pathlib.Path) -> None:
        with pytest.raises(Blind) as error:
            sysctl_files.read(str(plant(tmp_path, files)))
        assert str(error.value) == reason.replace("REMEDY", "check --sysctl-root")

    @pytest.fixture
    def running(self, tree: pathlib.Path) -> pathlib.Path:
        """The tree is taken for the root of the running system."""
        plant(tree, {"../proc/self/ns/": ""})
        return tree

    def test_systemd_runs(self, running: pathlib.Path) -> None:
        plant(running, {"run/systemd/system/": ""})
        assert read(running, running=True).boots == SYSTEMD

    def test_a_pod_that_has_the_run_of_the_host(self, running: pathlib.Path) -> None:
        """No marker, and /run/systemd as the host has it, but a PID namespace of its own."""
        plant(running, {"run/systemd/system/": "", "../proc/self/ns/pid": ""})
        with pytest.raises(Blind, match="^this is a container .own PID namespace., whose"):
            read(running, running=True)
        assert read(running).boots == SYSTEMD

    def test_a_root_that_the_first_process_has_not(self, running: pathlib.Path) -> None:
        """A pod that shares the processes and the /run of the host, without a marker; a chroot has no mount at all."""
        host = "27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
        plant(running, {"run/systemd/system/": "", "../proc/1/mountinfo": host})
        for line in ("900 1 0:51 / / rw - overlay overlay rw\n", "901 900 0:21 / /proc rw - proc proc rw\n"):
            plant(running, {"../proc/self/mountinfo": line})
            with pytest.raises(Blind, match="^this is a container .process 1 has another root., whose"):
                read(running, running=True)
        # A unit that is protected has mounts of its own, of the same root.
        plant(running, {"../proc/self/mountinfo": host.replace("27 1", "612 598").replace("rw,", "ro,", 1)})
        assert read(running, running=True).boots == SYSTEMD

    @pytest.mark.parametrize("name", ["init", "openrc-init", "runit", "procd"])
    def test_another_init_runs(self, name: str, running: pathlib.Path) -> None:
        plant(running, {"../proc/1/comm": f"{name}\n", "sbin/sysctl": ""})
        assert read(running, running=True).boots == PROCPS

    @pytest.mark.parametrize("marker", init_system.CONTAINER)
    def test_a_container(self, marker: str, running: pathlib.Path) -> None:
        plant(running, {"run/systemd/system/": "", marker: ""})
        with pytest.raises(Blind) as error:
            read(running, running=True)
        assert str(error.value) == (
            f"this is a container ({marker} exists), whose files do not boot the machine; "
            "give the root of the host with --sysctl-root DIR"
        )

    @pytest.mark.parametrize("marker", init_system.CONTAINER)
    def test_a_mounted_root_may_have_the_marks_of_a_container(self, marker: str, tree: pathlib.Path) -> None:
        plant(tree, {marker: ""})
        assert read(tree).boots == SYSTEMD

    def test_run_is_hidden(self, running: pathlib.Path) -> None:
        """From a unit with TemporaryFileSystem=/run."""
        plant(running, {"../proc/1/comm": "systemd\n"})
        assert read(running, running=True).boots == SYSTEMD

    def test_no_init_runs(self, running: pathlib.Path) -> None:
        """systemd is installed, but is not what runs."""
        plant(running, {"../proc/1/comm": "tini|\n", "usr/lib/systemd/systemd-sysctl": "", "sbin/sysctl": ""})
        with pytest.raises(Blind) as error:
            read(running, running=True)
        assert str(error.value) == (
            "the first process is tini?, which is no known init; "
            "give the root of the host with --sysctl-root (/ if this is the host)"
        )

    def test_the_first_process_cannot_be_seen(self, running: pathlib.Path) -> None:
        (running.parent / "proc/1/comm").unlink()
        with pytest.raises(Blind, match="^.*/proc/1/comm does not exist; give"):
            read(running, running=True)

    def test_this_machine(self) -> None:
        """Whatever runs here, there is an answer or a reason."""
        try:
            assert sysctl_files.read(running=True).boots in (SYSTEMD, PROCPS, BUSYBOX)
        except Blind as error:
            assert "give the root of the host with --sysctl-root " in str(error)

    @pytest.mark.parametrize("root, reason", [("gone", "No such file or directory"), ("a\0b", "not a valid path")])
    def test_no_root(self, root: str, reason: str) -> None:
        with pytest.raises(Blind) as error:
            sysctl_files.read(root)
        assert str(error.value) == f"cannot open the root {root.replace(chr(0), '?')}: {reason}"


NOTES: list[tuple[str, str, Mapping[str, str], list[str]]] = [
    ("of no concern", SYSTEMD, {f"{D}/a.conf": f"{MEM}x = 1\nkernel.x = {MEM}\n{MEM[:-1]} 7\n"}, []),
    ("no assignment", SYSTEMD, {f"{D}/a.conf": f"\n{MEM}: 1 2 3\n"}, [f"{D}/a.conf line 2 names {MEM}, but systemd ignores the line"]),
    ("a command", PROCPS, {CONF: f"sysctl -w {MEM}='1 2 3'\n"}, [f"{CONF} line 1 names {MEM}, but procps ignores the line"]),
    ("a path", PROCPS, {CONF: f"/proc/sys/{MEM.replace('.', '/')} = 1 2 3\n"}, [f"{CONF} line 1 names {MEM}, but procps ignores the line"]),
    ("no dash", BUSYBOX, {CONF: f"-{MEM} = 1 2 3\n"}, [f"{CONF} line 1 names {MEM}, but busybox ignores the line"]),
    ("a comment", SYSTEMD, {f"{D}/a.conf": f"#{MEM} = 1 2 3\n"}, []),
    ("not read by systemd", SYSTEMD, {CONF: f"\n\n{MEM} = 1 2 3\n"}, [f"{CONF} line 3 sets {MEM}, but that file is not read by systemd"]),
    ("linked, so read", SYSTEMD, {CONF: f"{MEM} = 1 2 3\n", f"{D}/99.conf": "-> ../sysctl.conf"}, []),
    ("read by procps", PROCPS, {CONF: f"{MEM} = 1 2 3\n"}, []),
    ("not read by busybox", BUSYBOX, {"/usr/local/lib/sysctl.d/a.conf": f"{MEM}=1\n"}, [f"/usr/local/lib/sysctl.d/a.conf line 1 sets {MEM}, but that directory is not read at boot"]),
    ("volatile", SYSTEMD, {"/run/sysctl.d/a.conf": f"{MEM}=1\n"}, [f"/run/sysctl.d/a.conf line 1 sets {MEM}, but /run/sysctl.d is empty after a reboot"]),
    ("a directory", SYSTEMD, {f"{D}/a.conf/": ""}, [f"{D}/a.conf is a directory, so nothing is read from it"]),
    ("a loop", SYSTEMD, {f"{D}/a.conf": "-> a.conf"}, [f"{D}/a.conf is a link that leads to itself, so nothing is read from it"]),
]  # fmt: skip


@pytest.mark.parametrize("tool, files, notes", [pytest.param(*rest, id=name) for name, *rest in NOTES])
def test_notes(tool: str, files: Mapping[str, str], notes: list[str], tmp_path: pathlib.Path) -> None:
    """Lines that set nothing, though they name a limit, are said."""
    found = sysctl_files.read(str(plant(tmp_path, {**INITS[tool], **files})))
    assert found.notes == notes
    assert found.blind == []


def test_volatile_files_hide_nothing(tree: pathlib.Path) -> None:
    plant(tree, {f"{D}/a.conf": f"{MEM}=1\n", "/run/sysctl.d/a.conf": f"{MEM}=2\n"})
    assert said(read(tree)) == [f"{MEM} = 1 ({D}/a.conf:1)"]


UNIT = "systemd-sysctl.service"


@pytest.mark.parametrize(
    "files, why",
    [
        ({f"/etc/systemd/system/{UNIT}": "-> /dev/null"}, f"/etc/systemd/system/{UNIT} is a link to /dev/null"),
        ({f"/etc/systemd/system/{UNIT}": ""}, f"/etc/systemd/system/{UNIT} is empty"),
        ({f"/etc/systemd/system.control/{UNIT}": ""}, f"/etc/systemd/system.control/{UNIT} is empty"),
        ({f"/usr/local/lib/systemd/system/{UNIT}": "-> /dev/null"}, f"/usr/local/lib/systemd/system/{UNIT} is a link to /dev/null"),
        ({f"/etc/systemd/system/{UNIT}": "-> empty", "/etc/systemd/system/empty": ""}, f"/etc/systemd/system/{UNIT} is empty"),
        ({"../proc/cmdline": f"quiet systemd.mask={UNIT}\n"}, f"the command line of the kernel has systemd.mask={UNIT}"),
        ({"../proc/cmdline": "systemd.mask=systemd-sysctl\n"}, f"the command line of the kernel has systemd.mask={UNIT}"),
        # A unit of the administrator's own wins over the package's, and runs.
        ({f"/etc/systemd/system/{UNIT}": "[Unit]\n", f"/usr/local/lib/systemd/system/{UNIT}": ""}, ""),
        ({f"/usr/lib/systemd/system/{UNIT}": "[Unit]\n"}, ""),
        ({f"/run/systemd/system/{UNIT}": ""}, ""),
        ({"../proc/cmdline": "systemd.mask=systemd-sysctl.socket rd.systemd.mask=x\n"}, ""),
    ],
)  # fmt: skip
def test_a_masked_unit(tree: pathlib.Path, files: dict[str, str], why: str) -> None:
    """By a link, by an empty file, by a word; what is masked until the next boot only does not count."""
    plant(tree, {f"{D}/a.conf": f"{MEM}=1\n", **files})
    found = read(tree)
    assert (found.settings == {}) == bool(why)
    assert found.notes == (
        [f"{why}, so no file is applied at boot; a line in a file has no effect before that is undone"] if why else []
    )


@pytest.mark.parametrize("name", ["/run/credentials/@system/sysctl.extra", "/etc/credstore/sysctl.extra"])
def test_a_credential(name: str, tree: pathlib.Path) -> None:
    plant(tree, {name: f"{MEM}=7\n"})
    doubt = f"{name} exists, which systemd applies after all files; this check does not read it"
    assert read(tree).blind == [doubt]


def test_ufw(tree: pathlib.Path) -> None:
    """It sets last what its file names, if it is there and enabled."""
    default = {"/etc/default/ufw": "IPV6=yes\nIPT_SYSCTL=/etc/ufw/sysctl.conf\n"}
    plant(tree, {"/etc/ufw/sysctl.conf": "#\nnet/ipv4/tcp_mem=1 2 3\n", f"{D}/a.conf": f"{MEM}=7\n"})
    assert read(tree).settings[MEM].value == "7"
    for enabled, expected in (
        (None, "7"),
        ("no", "7"),
        ('"no"', "7"),
        ("yes", "1 2 3"),
        ('"yes" # x', "1 2 3"),
        ("YES", "1 2 3"),
    ):
        conf = {} if enabled is None else {"/etc/ufw/ufw.conf": f"# x\nENABLED={enabled}\nLOGLEVEL=low\n"}
        plant(tree, {**default, **conf})
        found = read(tree)
        assert (found.settings[MEM].value, found.blind) == (expected, []), enabled
        note = f"/etc/ufw/sysctl.conf line 2 sets {MEM}, but ufw is not enabled"
        assert found.notes == ([note] if expected == "7" else [])
    plant(tree, {"/etc/default/ufw": "#IPT_SYSCTL=/etc/ufw/sysctl.conf\n"})
    assert read(tree).settings[MEM].value == "7"


class TestCommandLine:
    @pytest.mark.parametrize(
        "text, value",
        [
            ("quiet sysctl.net.ipv4.tcp_mem=17\n", "17"),
            ('sysctl.net.ipv4.tcp_mem="1 2  3" quiet', "1 2 3"),
            ('"sysctl.net.ipv4.tcp_mem=1 2 3"', "1 2 3"),
            ("sysctl/net/ipv4/tcp_mem=17", "17"),
            ("sysctl.net/ipv4.tcp_mem=17", "17"),
            ("sysctl.net.ipv4.tcp_mem=17 sysctl.net.ipv4.tcp_mem=18", "18"),
            ("sysctl.net.ipv4.tcp_mem=17 sysctl.net.ipv4.tcp_mem=", "17"),
            ("-- sysctl.net.ipv4.tcp_mem=17", None),
            ("sysctl.net.ipv4.tcp_mem", None),
            ("net.ipv4.tcp_mem=17", None),
            ("sysctlnet.ipv4.tcp_mem=17", None),
            ('x="a sysctl.net.ipv4.tcp_mem=17"', None),
            ("", None),
        ],
    )
    def test_words(self, text: str, value: str | None, tmp_path: pathlib.Path) -> None:
        plant(tmp_path, {"cmdline": text})
        settings = kernel_arguments.settings(str(tmp_path), [MEM])
        assert settings == ({MEM: (MEM, value, f"{tmp_path}/cmdline", 0)} if value else {})

    def test_files_come_later(self, tree: pathlib.Path) -> None:
        cmdline = tree.parent / "proc/cmdline"
        cmdline.write_text(f"sysctl.{MEM}=7 sysctl.{ORPHANS}=8")
        plant(tree, {f"{D}/a.conf": f"{MEM}=1\n"})
        found = read(tree)
        assert sorted(said(found)) == [f"{ORPHANS} = 8 ({cmdline}:0)", f"{MEM} = 1 ({D}/a.conf:1)"]
        assert found.notes == [f"{cmdline} sets {MEM}, but {D}/a.conf sets it later"]

    def test_it_matters_only_where_no_file_speaks(self, tree: pathlib.Path) -> None:
        cmdline = tree.parent / "proc/cmdline"
        cmdline.unlink()
        assert read(tree).blind == [f"{cmdline} does not exist; it may set what no file sets"]
        plant(tree, {f"{D}/a.conf": f"{MEM}=1\n{ORPHANS}=2\n"})
        assert read(tree).blind == []


class TestTuned:
    def doubt(self, profile: str, path: str) -> str:
        return (
            f"the tuned profile {profile} sets {MEM} in {path}; whether it wins depends on reapply_sysctl in "
            "/etc/tuned/tuned-main.conf"
        )

    @pytest.mark.parametrize(
        "files, where",
        [
            ({"/etc/tuned/p/tuned.conf": f"[sysctl]\n{MEM} = 1 2 3\n"}, "/etc/tuned/p/tuned.conf line 2"),
            ({"/usr/lib/tuned/p/tuned.conf": f"[sysctl]\n{MEM}=1\n"}, "/usr/lib/tuned/p/tuned.conf line 2"),
            ({"/usr/lib/tuned/profiles/p/tuned.conf": f"[sysctl]\n{MEM}=1\n"}, "/usr/lib/tuned/profiles/p/tuned.conf line 2"),
            (
                {"/usr/lib/tuned/p/tuned.conf": "", "/etc/tuned/profiles/p/tuned.conf": f"[mine]\n{MEM}=1\ntype=sysctl\n"},
                "/etc/tuned/profiles/p/tuned.conf line 2",
            ),
            ({"/etc/tuned/p/tuned.conf": f"[sysctl]\n#{MEM} = 1\n[vm]\n{MEM}=1\n"}, None),
            ({"/etc/tuned/p/tuned.conf": "", "/usr/lib/tuned/p/tuned.conf": f"[sysctl]\n{MEM}=1\n"}, None),
            ({"/etc/tuned/other/tuned.conf": f"[sysctl]\n{MEM}=1\n"}, None),
            ({}, None),
        ],
    )  # fmt: skip
    def test_profile(self, files: Mapping[str, str], where: str | None, tree: pathlib.Path) -> None:
        plant(tree, {"/etc/tuned/active_profile": "p\n", **files})
        assert read(tree).blind == ([self.doubt("p", where)] if where else [])

    @pytest.mark.parametrize(
        "profile, file, running, sure",
        [
            ("1 2 3", "1 2 3", "9 9 9", True),
            ('"1\t2 3"', "1 2  3", "", True),
            ("1 2 3", "1 2 4", "1 2 3", False),
            # No file has it, so what runs is of the profile, and the profile of the next boot, too.
            ("1 2 3", None, "1\t2\t3", True),
            ("1 2 3", None, "1\t2\t4", False),
            ("1 2 3", None, "", False),
            ("${levels}", None, "1\t2\t3", False),
        ],
    )
    def test_where_all_agree_nothing_is_uncertain(
        self, tree: pathlib.Path, profile: str, file: str | None, running: str, sure: bool
    ) -> None:
        plant(tree, {"/etc/tuned/active_profile": "p\n", "/etc/tuned/p/tuned.conf": f"[sysctl]\n{MEM} = {profile}\n"})
        plant(tree, {f"{D}/a.conf": f"{MEM} = {file}\n"} if file else {})
        plant(tree, {"../proc/sys/net/ipv4/tcp_mem": f"{running}\n"} if running else {})
        found = read(tree)
        assert found.blind == ([] if sure else [self.doubt("p", "/etc/tuned/p/tuned.conf line 2")])
        place = f"{D}/a.conf" if file else "/etc/tuned/p/tuned.conf"
        assert not sure or (found.settings[MEM].value, found.settings[MEM].path) == ("1 2 3", place)

    def test_include(self, tree: pathlib.Path) -> None:
        """In a circle, too."""
        plant(
            tree,
            {
                "/etc/tuned/active_profile": "a b\n",
                "/etc/tuned/a/tuned.conf": "[main]\ninclude=c, ../../d\n",
                "/etc/tuned/c/tuned.conf": f"[main]\ninclude=a\n[sysctl]\n{MEM}=1\n",
                "/etc/tuned/d/tuned.conf": f"[sysctl]\n{MEM}=1\n",
            },
        )
        assert read(tree).blind == [
            self.doubt("c", "/etc/tuned/c/tuned.conf line 4"),
            self.doubt("d", "/etc/tuned/d/tuned.conf line 2"),
        ]
