"""Microsoft.Network/networkWatchers: one a region, made with its first virtual network; its tools are its actions.

Follows the specification's networkWatcher.json; `watchers.py` says when one is made.
"""

from __future__ import annotations

from typing import Any, ClassVar

from azlan.arm.resource import Action, ResourceType, View, Write
from azlan.providers.network.connectivity import check_connectivity
from azlan.providers.network.shapes import API_VERSIONS, NETWORK_WATCHER, Document, Shape, invalid, settle
from azlan.providers.network.topology import topology
from azlan.providers.network.verification import next_hop, verify_flow
from azlan.providers.network.watchers import watcher_of


class NetworkWatcherPropertiesFormat(Shape):
    dropped: ClassVar[frozenset[str]] = frozenset({"provisioningState", "runningOperationIds"})
    provisioningState: Any = None
    runningOperationIds: Any = None


class NetworkWatcher(Document):
    properties: NetworkWatcherPropertiesFormat | None = None


def view(view: View) -> None:
    view.properties["runningOperationIds"] = []


def accept(write: Write) -> None:
    settle(write, NetworkWatcher)
    other = watcher_of(write, write.id.subscription, write.location)
    if write.before is None and other is not None and other.key != write.id.key:
        raise invalid(
            "NetworkWatcherCountLimitReached",
            "Cannot create more than 1 network watchers for this subscription in this region.",
        )


RESOURCE = ResourceType(
    type=NETWORK_WATCHER,
    api_versions=tuple(version for version in API_VERSIONS if version >= "2016-09-01"),
    model=NetworkWatcher,
    accept=accept,
    view=view,
    actions={
        "ipFlowVerify": Action(verify_flow),
        "nextHop": Action(next_hop),
        "connectivityCheck": Action(check_connectivity),
        "topology": Action(topology),
    },
    accepted_state="Succeeded",
    display={"singular": "network watcher", "plural": "network watchers"},
)
