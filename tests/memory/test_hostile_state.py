"""Full disks, forbidden and hostile files in the place of the state. None of it may cost the result."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import stat
import time
from collections.abc import Iterator

import pytest

from workbench.command import Output, Run
from workbench.machine import require_namespaces
from workbench.states import HIT, Host, check, finished, forgets, hits, host, line, seen


class TestDisk:
    def mounted(self, host: Host, options: str, fill: str = "true", user: bool = False) -> Output:
        """A check in a mount namespace of its own, with a small file system for the state; run twice, the second counts."""
        script = f'set -e; mount -t tmpfs -o "{options}" none "$0"; {fill}; "$@" >/dev/null || test $? -lt 2; exec "$@"'
        namespace = ["unshare", "-Urm"] if user or os.geteuid() != 0 else ["unshare", "-m"]
        require_namespaces(*namespace)
        host.state.mkdir(mode=0o700, exist_ok=True)
        return finished(host.start(*namespace, "sh", "-c", script, str(host.state)))

    @pytest.mark.parametrize(
        "fill",
        [
            "head -c 1M /dev/zero 2>/dev/null >$0/ballast || true",
            "cp $0.old $0/state.json; head -c 1M /dev/zero 2>/dev/null >$0/ballast || true",
        ],
    )
    @pytest.mark.parametrize("user", [False, True])
    def test_full(self, seen: Host, fill: str, user: bool) -> None:
        shutil.copy(seen.file, f"{seen.state}.old")
        output = self.mounted(seen, "size=16k,mode=0700", f"{fill}", user)
        assert "No space left on device" in output.text
        # What is remembered can still be read where it cannot be written.
        assert hits(output) == (2 if "state.json" in fill else 1), output.text

    def test_no_inode_left(self, seen: Host) -> None:
        output = self.mounted(seen, "nr_inodes=1,mode=0700")
        assert hits(output) == 1
        assert "No space left on device" in output.text

    def test_room_for_part_of_the_file(self, seen: Host) -> None:
        """The first writes succeed, the last does not: the old state stays."""
        shutil.copy(seen.file, f"{seen.state}.old")
        seen.write(*[HIT] * 3)
        seen.log.write_text(seen.log.read_text() + "".join(line(HIT, 500 - number) for number in range(400)))
        fill = 'cp $0.old $0/state.json; "$@" >/dev/null || true; cmp $0.old $0/state.json; test ! -e $0/state.json.new'
        output = self.mounted(seen, "size=8k,mode=0700", fill)
        assert hits(output) == 404
        assert "No space left on device" in output.text

    @pytest.mark.parametrize("user", [False, True])
    def test_read_only_file_system(self, seen: Host, user: bool) -> None:
        fill = "cp $0.old $0/state.json; mount -o remount,bind,ro $0"
        shutil.copy(seen.file, f"{seen.state}.old")
        output = self.mounted(seen, "size=64k,mode=0700", fill, user)
        assert "Read-only file system" in output.text
        assert hits(output) == 2

    def test_read_only_directory(self, seen: Host, run: Run, powerless: None) -> None:
        seen.state.chmod(0o500)
        output = check(seen, run)
        assert "Permission denied" in output.text
        assert hits(output) == 2

    def test_directory_that_cannot_be_made(self, host: Host, run: Run) -> None:
        host.write(HIT)
        (host.state.parent / "parent").write_text("a file")
        host.state = host.state.parent / "parent/state"
        forgets(host, run, "(Not a directory|File exists)")

    def test_directory_that_cannot_be_searched(self, seen: Host, run: Run, powerless: None) -> None:
        seen.state.chmod(0o200)
        forgets(seen, run, "Permission denied")


class TestHostile:
    @pytest.fixture
    def target(self, tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
        """What a link leads to, and what must stay as it is."""
        path = tmp_path / "precious"
        path.write_text('{"format":1,"precious":true}')
        path.chmod(0o600)
        yield path
        assert path.read_text() == '{"format":1,"precious":true}'
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_link_for_the_directory(self, seen: Host, run: Run, tmp_path: pathlib.Path) -> None:
        seen.state.rename(tmp_path / "elsewhere")
        before = (tmp_path / "elsewhere/state.json").read_bytes()
        seen.state.symlink_to(tmp_path / "elsewhere")
        forgets(seen, run, "is a link or a file, not a directory")
        assert (tmp_path / "elsewhere/state.json").read_bytes() == before

    def test_link_to_nothing_for_the_directory(self, seen: Host, run: Run, tmp_path: pathlib.Path) -> None:
        shutil.rmtree(seen.state)
        seen.state.symlink_to(tmp_path / "nowhere")
        forgets(seen, run, "is a link or a file, not a directory")
        assert not (tmp_path / "nowhere").exists()

    def test_file_for_the_directory(self, seen: Host, run: Run) -> None:
        shutil.rmtree(seen.state)
        seen.state.write_text("")
        forgets(seen, run, "is a link or a file, not a directory")

    def test_link_for_the_file(self, seen: Host, run: Run, target: pathlib.Path) -> None:
        seen.file.unlink()
        seen.file.symlink_to(target)
        forgets(seen, run, "state.json is a symbolic link")

    @pytest.mark.parametrize("kind", ["link", "dangling", "hard link", "fifo", "folder"])
    def test_in_place_of_the_new_file(self, seen: Host, run: Run, target: pathlib.Path, kind: str) -> None:
        new = seen.state / "state.json.new"
        if kind == "link":
            new.symlink_to(target)
        elif kind == "dangling":
            new.symlink_to(seen.state.parent / "nowhere")
        elif kind == "hard link":
            os.link(target, new)
        elif kind == "fifo":
            os.mkfifo(new, 0o600)
        else:
            new.mkdir()
        began = time.monotonic()
        assert hits(check(seen, run)) == 2
        assert time.monotonic() - began < 30
        assert not (seen.state.parent / "nowhere").exists()
        assert hits(check(seen, run)) == 2

    @pytest.mark.parametrize("kind", ["file", "link", "hard link", "fifo"])
    def test_put_there_before_the_new_file_is_made(
        self, seen: Host, run: Run, target: pathlib.Path, monkeypatch: pytest.MonkeyPatch, kind: str
    ) -> None:
        """What comes in between the removal of an old file and the making of the new one is not written to."""
        unlink = os.unlink
        new = seen.state / "state.json.new"
        before = seen.file.read_bytes()

        def unlinked_and_taken(path: str, *, dir_fd: int | None = None) -> None:
            try:
                unlink(path, dir_fd=dir_fd)
            finally:
                if path == "state.json.new":
                    if kind == "file":
                        new.write_text("another's")
                    elif kind == "link":
                        new.symlink_to(target)
                    elif kind == "hard link":
                        os.link(target, new)
                    else:
                        os.mkfifo(new, 0o600)

        monkeypatch.setattr(os, "unlink", unlinked_and_taken)
        output = check(seen, run)
        monkeypatch.undo()
        assert hits(output) == 2
        assert re.search(r"nothing is remembered between runs: .*File exists", output.text), output.text
        assert seen.file.read_bytes() == before
        assert kind != "file" or new.read_text() == "another's"

    @pytest.mark.parametrize("kind", ["fifo", "folder", "device"])
    def test_no_file_in_place_of_the_file(self, seen: Host, run: Run, kind: str) -> None:
        seen.file.unlink()
        if kind == "fifo":
            os.mkfifo(seen.file, 0o600)
        elif kind == "folder":
            seen.file.mkdir()
        else:
            self.replaced(seen, "/dev/zero", seen.file, "not a regular file")
            return
        forgets(seen, run, "not a regular file|Is a directory")

    def replaced(self, host: Host, foreign: str, place: pathlib.Path, reason: str) -> None:
        """The check in a mount namespace where something of the machine stands in that place; no right is needed to put it there."""
        namespace = ["unshare", "-Urm"] if os.geteuid() != 0 else ["unshare", "-m"]
        require_namespaces(*namespace)
        place.touch()
        script = f"mount --bind {foreign} {place} && exec " + '"$@"'
        output = finished(host.start(*namespace, "sh", "-c", script, "sh"))
        assert hits(output) == 1
        assert re.search(f"nothing is remembered between runs: .*({reason})", output.text), output.text

    @pytest.mark.parametrize("mode", [0o720, 0o702, 0o777, 0o1777, 0o2770])
    def test_directory_others_can_write(self, seen: Host, run: Run, mode: int) -> None:
        before = seen.file.read_bytes()
        seen.state.chmod(mode)
        forgets(seen, run, "can be written by others")
        assert seen.file.read_bytes() == before

    @pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
    def test_file_others_can_write(self, seen: Host, run: Run, mode: int) -> None:
        before = seen.file.read_bytes()
        seen.file.chmod(mode)
        forgets(seen, run, "state.json can be written by others")
        assert seen.file.read_bytes() == before

    @pytest.mark.parametrize("which", ["directory", "file"])
    def test_belongs_to_another(self, seen: Host, run: Run, which: str) -> None:
        place = seen.state if which == "directory" else seen.file
        if os.geteuid() != 0:
            # Root's; root gives away its own instead.
            self.replaced(seen, "/usr" if which == "directory" else "/etc/passwd", place, "belongs to another user")
            return
        os.chown(place, 65534, 65534)
        forgets(seen, run, "belongs to another user")
