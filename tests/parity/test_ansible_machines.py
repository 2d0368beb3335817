"""docs/clients/ansible.md, as printed, on real machines: they ping each other across the peering; then it goes away.

ansible-playbook ── azlan redirect ── cloud        vm-1 ── ping ── vm-2
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from playbooks import Shell, recap
from standing import Standing, in_guest, short_folder, standing

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def cloud() -> Iterator[Standing]:
    with short_folder() as folder, standing(folder) as made:
        yield made


async def test_the_playbook_builds_what_packets_cross(
    cloud: Standing, tmp_path_factory: pytest.TempPathFactory
) -> None:
    shell = Shell(tmp_path_factory.mktemp("ansible"), cloud.state)
    output = shell.run(shell.page.command("--extra-vars password"))
    assert recap(output) == shell.page.recap
    async with cloud.client() as arm:
        for machine, target in (("vm-1", "10.1.0.4"), ("vm-2", "10.0.0.4")):
            seen = await in_guest(arm, machine, f". /etc/os-release; echo $VERSION_ID; ping -c 3 -i 0.2 {target}")
            assert seen.startswith("24.04\n"), seen
            assert seen.count(f"bytes from {target}: icmp_seq=") == seen.count("ttl=64") == 3, seen
    shell.run(shell.page.command("state=absent"))
    assert cloud.status()["parts"] == 0
