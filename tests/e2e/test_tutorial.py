"""The mission: the tutorial's CLI tab with the real az, and afterwards nothing is left."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from standing import short_folder, standing

pytestmark = [pytest.mark.root, pytest.mark.az]


def test_the_cli_tab_verbatim() -> None:
    with short_folder() as folder, standing(folder) as cloud:
        output = cloud.azlan("tutorial").stdout
        assert '"peeringState": "Initiated"' in output
        assert output.count('"peeringState": "Connected"') == 1
        assert re.search(r'^"Connected"$', output, re.MULTILINE)
        assert "azureuser@vm-1:~$ ping -c 4 10.1.0.4" in output
        assert "azureuser@vm-2:~$ ping -c 4 10.0.0.4" in output
        assert output.count("4 packets transmitted, 4 received, 0% packet loss") == 2
        assert len(re.findall(r"icmp_seq=\d ttl=64", output)) == 8
        assert "ttl=63" not in output
        for listed in ("virtualNetworks", "bastionHosts", "publicIPAddresses", "networkInterfaces", "disks"):
            assert re.search(rf"Microsoft\.\w+/{listed}\s+Succeeded", output), listed
        assert cloud.status()["runningMachines"] == 3

        cloud.azlan("tutorial", "--delete")
        status = cloud.status()
        # What remains is no resource of the group's: role assignments of the tutorial's own principal.
        assert status["runningMachines"] == 0
        assert status["parts"] == 0
        config = cloud.config
        assert not list((config.fabric / "machines").iterdir())
        assert not list((config.run / "guests").iterdir())
        assert not (Path("/sys/fs/cgroup") / f"azlan-{config.mark}").exists()
