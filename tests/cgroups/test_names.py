"""What a cgroup is called: paths as the managers make them."""

from __future__ import annotations

import hypothesis
import hypothesis.strategies as st
import pytest

from tcp_headroom import wording
from tcp_headroom.cgroups import names
from workbench.cgroup_trees import CONTAINER, HOSTILE, UID

SHORT = CONTAINER[:12]
SCOPE_UID = UID.replace("-", "_")

NAMES = [
    ("", "/"),
    ("system.slice/shop.service", "shop.service"),
    ("system.slice", "system.slice"),
    ("init.scope", "init.scope"),
    # Docker: systemd, and cgroupfs
    (f"system.slice/docker-{CONTAINER}.scope", f"docker {SHORT}"),
    (f"docker/{CONTAINER}", f"docker {SHORT}"),
    (f"user.slice/user-1000.slice/user@1000.service/user.slice/docker-{CONTAINER}.scope", f"docker {SHORT}"),
    (f"system.slice/docker-{CONTAINER}.scope/init.scope", f"docker {SHORT}: init.scope"),
    (f"system.slice/docker-{CONTAINER}.scope/workers/7", f"docker {SHORT}/workers/7"),
    # kubelet: systemd and cgroupfs; containerd, CRI-O, Docker
    (
        f"kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{SCOPE_UID}.slice/cri-containerd-{CONTAINER}.scope",
        f"pod 1a2b3c4d: containerd {SHORT}",
    ),
    (f"kubepods.slice/kubepods-pod{SCOPE_UID}.slice/crio-{CONTAINER}.scope", f"pod 1a2b3c4d: CRI-O {SHORT}"),
    (f"kubepods/besteffort/pod{UID}/{CONTAINER}", f"pod 1a2b3c4d: container {SHORT}"),
    (f"kubepods/pod{UID}", "pod 1a2b3c4d"),
    (f"kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{SCOPE_UID}.slice", "pod 1a2b3c4d"),
    (
        f"kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/"
        f"kubelet-kubepods-burstable-pod{SCOPE_UID}.slice/cri-containerd-{CONTAINER}.scope",
        f"pod 1a2b3c4d: containerd {SHORT}",
    ),
    (
        f"system.slice/containerd.service/kubepods-burstable-pod{SCOPE_UID}.slice:cri-containerd:{CONTAINER}",
        f"pod 1a2b3c4d: containerd {SHORT}",
    ),
    ("kubepods.slice/kubepods-burstable.slice", "kubepods-burstable.slice"),
    # podman, as root and in a session; conmon is no container
    (f"machine.slice/libpod-{CONTAINER}.scope/container", f"podman {SHORT}/container"),
    (
        f"user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{CONTAINER}.scope/container",
        f"podman {SHORT}/container",
    ),
    (f"machine.slice/libpod-conmon-{CONTAINER}.scope", f"libpod-conmon {SHORT}"),
    # containerd by itself, LXC, nspawn
    (f"default/{CONTAINER}", f"container {SHORT}"),
    (f"system.slice/nerdctl-{CONTAINER}.scope", f"containerd {SHORT}"),
    ("lxc.payload.web1", "LXC web1"),
    ("lxc.payload/web1", "LXC web1"),
    ("machine.slice/machine-web1.scope", "machine web1"),
    (r"machine.slice/machine-qemu\x2d1\x2dweb1.scope/libvirt/emulator", "machine qemu-1-web1/libvirt/emulator"),
    ("machine.slice/systemd-nspawn@web1.service/payload", "machine web1/payload"),
    ("machine.slice/systemd-nspawn@web1.service/supervisor", "machine web1/supervisor"),
    # containers that run systemd: the same unit in each
    ("lxc.payload.web1/system.slice/nginx.service", "LXC web1: nginx.service"),
    ("lxc.payload.web1/system.slice", "LXC web1: system.slice"),
    ("lxc.payload.web1/init.scope", "LXC web1: init.scope"),
    ("lxc/web1/system.slice/nginx.service", "LXC web1: nginx.service"),
    ("lxc/101/ns/system.slice/nginx.service/workers", "LXC 101: nginx.service/workers"),
    ("machine.slice/machine-web1.scope/payload/system.slice/nginx.service", "machine web1: nginx.service"),
    ("machine.slice/systemd-nspawn@web1.service/payload/system.slice/nginx.service", "machine web1: nginx.service"),
    (f"machine.slice/libpod-{CONTAINER}.scope/container/system.slice/nginx.service", f"podman {SHORT}: nginx.service"),
    (f"kubepods/pod{UID}/{CONTAINER}/system.slice/nginx.service", f"pod 1a2b3c4d: container {SHORT}: nginx.service"),
    # containers in containers, those of kind among them
    (f"lxc.payload.web1/system.slice/docker-{CONTAINER}.scope", f"LXC web1: docker {SHORT}"),
    (f"lxc.payload.web1/system.slice/docker-{CONTAINER}.scope/init.scope", f"LXC web1: docker {SHORT}: init.scope"),
    (
        f"docker/{CONTAINER}/kubelet.slice/kubelet-kubepods-pod{SCOPE_UID}.slice/cri-containerd-{CONTAINER}.scope",
        f"docker {SHORT}: pod 1a2b3c4d: containerd {SHORT}",
    ),
    # long ones keep the container, and the end
    (f"lxc.payload.web1/system.slice/{'a' * 100}.service", "LXC web1: ..." + "a" * 69 + ".service"),
    (f"lxc.payload.{'b' * 100}/init.scope", f"LXC {'b' * 53}...: init.scope"),
    # a session, and what no manager made
    ("user.slice/user-0.slice/session-3.scope", "session-3.scope"),
    ("batch/job 12", "batch/job 12"),
    ("batch/" + "deep/" * 40 + "end", "..." + ("batch/" + "deep/" * 40 + "end")[3 - names.LONGEST :]),
    # nearly a container
    (f"system.slice/docker-{CONTAINER[1:]}.scope", f"docker-{CONTAINER[1:]}.scope"),
    (CONTAINER.upper(), CONTAINER.upper()),
]  # fmt: skip


@pytest.mark.parametrize("path, said", NAMES, ids=[path[-40:] for path, _said in NAMES])
def test_names(path: str, said: str) -> None:
    assert names.name(path) == said


@pytest.mark.parametrize("part", HOSTILE, ids=map(ascii, range(len(HOSTILE))))
@pytest.mark.parametrize("where", ["{}", "system.slice/{}", "{}/x", "lxc.payload.{}", "docker-{}.scope"])
def test_hostile_names(part: str, where: str) -> None:
    said = names.name(where.format(part))
    assert said.isprintable() and 0 < len(said) <= names.LONGEST
    assert not set(said) & set(wording.ILLEGAL)


@hypothesis.given(st.text(alphabet=st.characters(), max_size=400))
def test_any_name(path: str) -> None:
    said = names.name(path)
    assert said.isprintable() and 0 < len(said) <= names.LONGEST and not set(said) & set(wording.ILLEGAL)
