"""An appliance as its user sets it up: a VM whose NIC forwards, whose guest is told to, and routes that lead to it.

vm-a ── spoke-a ══ hub (fw) ══ spoke-b ── vm-b
"""

from __future__ import annotations

import pytest

from network import VNETS, template
from standing import PASSWORD, in_guest, short_folder, standing

pytestmark = pytest.mark.root

NETWORK = {
    "vnets": {
        "hub": {"space": "10.0.0.0/16", "subnets": {"s": "10.0.0.0/24"}},
        "spoke-a": {"space": "10.1.0.0/16", "subnets": {"s": {"prefix": "10.1.0.0/24", "route_table": "rt"}}},
        "spoke-b": {"space": "10.2.0.0/16", "subnets": {"s": {"prefix": "10.2.0.0/24", "route_table": "rt"}}},
    },
    "route_tables": {"rt": {"all": {"prefix": "10.0.0.0/8", "hop": "VirtualAppliance", "address": "10.0.0.4"}}},
    "machines": {"fw": {"subnet": "hub/s", "forwarding": True}, "vm-a": "spoke-a/s", "vm-b": "spoke-b/s"},
}


async def test_a_guest_forwards_once_it_is_told_to_and_after_a_restart() -> None:
    with short_folder() as folder, standing(folder) as cloud:
        async with cloud.client() as arm:
            await arm.put("", {"location": "eastus2"})
            properties = {
                "mode": "Incremental",
                "template": template(NETWORK),
                "parameters": {"password": {"value": PASSWORD}},
            }
            await arm.put("Microsoft.Resources/deployments/network", {"properties": properties})
            for one, other in (("hub", "spoke-a"), ("spoke-a", "hub"), ("hub", "spoke-b"), ("spoke-b", "hub")):
                remote = {"id": arm.id(f"{VNETS}/{other}")}
                half = {"remoteVirtualNetwork": remote, "allowForwardedTraffic": True}
                await arm.put(f"{VNETS}/{one}/virtualNetworkPeerings/{other}", {"properties": half})

            assert "0 received" in await in_guest(arm, "vm-a", "ping -c 1 -W 1 10.2.0.4")
            persistent = (
                "echo net.ipv4.ip_forward=1 > /etc/sysctl.d/99-forward.conf && sysctl -p /etc/sysctl.d/99-forward.conf"
            )
            assert "net.ipv4.ip_forward = 1" in await in_guest(arm, "fw", persistent)
            for _ in range(2):
                there = await in_guest(arm, "vm-a", "ping -n -c 3 -i 0.2 10.2.0.4")
                assert there.count("ttl=63") == 3, there
                back = await in_guest(arm, "vm-b", "ping -n -c 3 -i 0.2 10.1.0.4")
                assert back.count("ttl=63") == 3, back
                await arm.post("Microsoft.Compute/virtualMachines/fw/restart")
