"""A recorded call as it is sent to our cloud, and what it answers in the recording's own words.

Mapped are the subscription, resource groups, hosts, and Windows images, which Azlan lacks: an Ubuntu one takes their place.
"""

from __future__ import annotations

import json
import re
from copy import deepcopy
from typing import Any
from uuid import uuid4

from parity.recordings.reading import Call

UBUNTU = {"publisher": "Canonical", "offer": "ubuntu-24_04-lts", "sku": "server-gen1", "version": "latest"}
WINDOWS = "MicrosoftWindowsServer"
WINDOWS_GIB, UBUNTU_GIB = 127, 30

POLICY_TAGS = ("azsecpack", "platformsettings.")
"""Beginnings of the tags that a policy of Microsoft's subscription put on every VM, with an identity of its own."""

AZURE = "https://management.azure.com"


class Mapping:
    """Between the names of one recording and those of our cloud. `groups`: the recording's, in the order of their use."""

    def __init__(self, calls: list[Call], groups: list[str], subscription: str, endpoint: str) -> None:
        found = re.search(r"/subscriptions/([^/?]+)", " ".join(call.path for call in calls), re.IGNORECASE)
        self.recorded = found[1] if found else ""
        self.subscription = subscription
        self.endpoint = endpoint.rstrip("/")
        self.groups = {group: f"replay-{uuid4().hex[:12]}" for group in groups}
        """Recorded name → ours."""

    def out(self, text: str) -> str:
        """Recorded words as ours."""
        text = re.sub(f"(/subscriptions/){re.escape(self.recorded)}", rf"\g<1>{self.subscription}", text, flags=re.I)
        for recorded, ours in self.groups.items():
            text = re.sub(
                rf"(/resourcegroups/){re.escape(recorded)}(?=[/?\"]|$)", rf"\g<1>{ours}", text, flags=re.IGNORECASE
            )
        return text

    def back(self, text: str) -> str:
        """Our words as the recording's."""
        for recorded, ours in self.groups.items():
            text = re.sub(ours, recorded, text, flags=re.IGNORECASE)
        text = re.sub(self.subscription, self.recorded, text, flags=re.IGNORECASE)
        return text.replace(self.endpoint, AZURE)

    def url(self, call: Call) -> str:
        return self.out(call.url)

    def body(self, call: Call) -> Any:
        """The request's JSON for our cloud, None where there is none."""
        if call.body is None:
            return None
        return self._named(json.loads(self.out(json.dumps(with_ubuntu_asked(call.body)))))

    def _named(self, body: Any) -> Any:
        """With our groups' names where a group is named by itself."""
        if isinstance(body, dict) and str(body.get("targetResourceGroupName", "")).lower() in self.groups:
            return {**body, "targetResourceGroupName": self.groups[str(body["targetResourceGroupName"]).lower()]}
        return body

    def answer(self, body: Any) -> Any:
        """Our JSON in the recording's words."""
        return json.loads(self.back(json.dumps(body)))


def whole(body: Any) -> Any:
    """A recorded answer with the one name that the recorder forgot: of the recording's own group, in capitals, where
    Compute shows it in the ids of disks."""
    text = json.dumps(body)
    return json.loads(re.sub(r"(/resourceGroups/)[A-Z0-9]{60,90}(?=/)", r"\g<1>rgname", text)) if body else body


def with_ubuntu_asked(body: Any) -> Any:
    """The request for a VM with an Ubuntu image in the place of a Windows one."""
    image = _image(body)
    if image is None or image.get("publisher") != WINDOWS:
        return body
    changed = deepcopy(body)
    changed["properties"]["storageProfile"]["imageReference"] = dict(UBUNTU)
    changed["properties"].get("osProfile", {}).pop("windowsConfiguration", None)
    return changed


def with_ubuntu_shown(body: Any) -> Any:
    """A recorded VM as it would look with the Ubuntu image, and without what a policy put there. What Azure says of the
    configuration inside (`windowsConfiguration`) has no counterpart: see `without_guest`."""
    if isinstance(body, dict) and isinstance(body.get("value"), list):
        return {**body, "value": [with_ubuntu_shown(item) for item in body["value"]]}
    image = _image(body)
    if image is None or image.get("publisher") != WINDOWS:
        return body
    changed = without_guest(deepcopy(body))
    changed["properties"]["storageProfile"]["imageReference"].update(UBUNTU)
    disk = changed["properties"]["storageProfile"]["osDisk"]
    disk["osType"] = "Linux"
    if disk.get("diskSizeGB") == WINDOWS_GIB:
        disk["diskSizeGB"] = UBUNTU_GIB
    tags = {
        name: value for name, value in (changed.pop("tags", None) or {}).items() if not name.startswith(POLICY_TAGS)
    }
    if tags:
        changed["tags"] = tags
    if "azsecpack" in json.dumps(changed.get("identity", {})).lower():
        del changed["identity"]
    return changed


def without_guest(body: Any) -> Any:
    """A VM's document without `windowsConfiguration` or `linuxConfiguration`: they differ as the systems do."""
    profile = body.get("properties", {}).get("osProfile") if isinstance(body, dict) else None
    if isinstance(profile, dict):
        for name in ("windowsConfiguration", "linuxConfiguration"):
            profile.pop(name, None)
    return body


def _image(body: Any) -> dict[str, Any] | None:
    """The image reference in a VM's document."""
    properties = body.get("properties") if isinstance(body, dict) else None
    storage = properties.get("storageProfile") if isinstance(properties, dict) else None
    image = storage.get("imageReference") if isinstance(storage, dict) else None
    return image if isinstance(image, dict) else None
