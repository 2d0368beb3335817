"""Which cgroup hierarchies there are, and finding our processes in them."""

from __future__ import annotations

from pathlib import Path

from azlan.machines.cgroups import Cgroups, Hierarchies

HYBRID = """\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:5 - cgroup cgroup rw,memory
39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""
UNIFIED = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = Path("/sys/fs/cgroup")


def test_a_hybrid_host() -> None:
    found = Hierarchies.detect(HYBRID)
    assert found.joined == (V1 / "memory", V1 / "pids", V1 / "systemd", V1 / "unified")
    assert V1 / "cpu,cpuacct" in found.all
    assert found.delegated == V1 / "systemd"
    assert found.hidden == V1 / "unified"
    assert not found.unified


def test_a_unified_host() -> None:
    found = Hierarchies.detect(UNIFIED)
    assert found == Hierarchies((V1,), (V1,), V1, None, unified=True)


def test_processes_are_found_in_every_hierarchy_and_machines_by_name(tmp_path: Path) -> None:
    one, two = tmp_path / "memory", tmp_path / "unified"
    groups = Cgroups("mark", Hierarchies((one, two), (one, two), None, two, unified=False))
    files = groups.prepare("m1")
    assert files == (
        one / "azlan-mark/m1/monitor/cgroup.procs",
        two / "azlan-mark/m1/monitor/cgroup.procs",
    )
    files[0].write_text("11\n12\n")
    files[1].write_text("12\n13\n")
    (one / "azlan-mark/m1/guest/deep").mkdir(parents=True)
    (one / "azlan-mark/m1/guest/deep/cgroup.procs").write_text("14\n")
    assert groups.processes("m1") == {11, 12, 13, 14}
    assert groups.leaf("m1", "monitor") == {11, 12}
    assert groups.leaf("m1", "guest") == {14}
    assert groups.machines() == {"m1"}
    assert groups.processes("m2") == set()
    assert groups.path("m1", "guest") == "/azlan-mark/m1/guest"
