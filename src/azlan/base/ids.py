"""ARM resource ids: parsed once, compared without case, printed as they were given.

Follows azure-resource-manager-rpc, v1.0/resource-api-reference.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

_SEGMENT = re.compile(r"[^/]+")


@dataclass(frozen=True)
class ResourceId:
    """`/subscriptions/{s}[/resourceGroups/{g}][/providers/{namespace}/{type}/{name}[/{type}/{name}]…]`.

    `types` and `names` have the same length; a bare subscription or group has none. Extension resources
    (role assignments) keep the id they extend in `scope`; for all others `scope` is None.
    """

    subscription: str
    group: str | None = None
    namespace: str | None = None
    types: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    scope: ResourceId | None = None

    @cached_property
    def type(self) -> str:
        """`Microsoft.Network/virtualNetworks/subnets`, or the pseudo types of groups and subscriptions."""
        if self.namespace:
            return "/".join((self.namespace, *self.types))
        return "Microsoft.Resources/resourceGroups" if self.group else "Microsoft.Resources/subscriptions"

    @cached_property
    def name(self) -> str:
        return self.names[-1] if self.names else self.group or self.subscription

    @property
    def parent(self) -> ResourceId | None:
        """The id one level up within the provider, None at the top level."""
        if len(self.names) < 2:
            return None
        return ResourceId(self.subscription, self.group, self.namespace, self.types[:-1], self.names[:-1], self.scope)

    def child(self, type_segment: str, name: str) -> ResourceId:
        return ResourceId(
            self.subscription, self.group, self.namespace, (*self.types, type_segment), (*self.names, name), self.scope
        )

    @cached_property
    def key(self) -> str:
        """The id in lower case: what identity means."""
        return str(self).lower()

    @cached_property
    def group_key(self) -> str:
        """Key of the resource group, or of the subscription where there is none."""
        base = f"/subscriptions/{self.subscription}"
        return (f"{base}/resourceGroups/{self.group}" if self.group else base).lower()

    def __str__(self) -> str:
        return self._text

    @cached_property
    def _text(self) -> str:
        if self.scope is not None:
            text = str(self.scope)
        else:
            text = f"/subscriptions/{self.subscription}"
            if self.group:
                text += f"/resourceGroups/{self.group}"
        if self.namespace:
            text += f"/providers/{self.namespace}"
            text += "".join(f"/{t}/{n}" for t, n in zip(self.types, self.names, strict=True))
        return text


def parse_id(text: str) -> ResourceId:
    """Parse an id in whatever case; doubled and trailing slashes are forgiven as ARM forgives them.

    Raises ValueError where the text is no resource id.
    """
    if not text.startswith("/"):
        raise ValueError(f"not a resource id: {text!r}")
    segments = _SEGMENT.findall(text)
    subscription: str | None = None
    group: str | None = None
    at = 0
    if len(segments) >= 2 and segments[0].lower() == "subscriptions":
        subscription, at = segments[1], 2
    if subscription is None:
        raise ValueError(f"not a resource id: {text!r}")
    if len(segments) >= at + 2 and segments[at].lower() == "resourcegroups":
        group, at = segments[at + 1], at + 2
    current = ResourceId(subscription, group)
    while at < len(segments):
        if segments[at].lower() != "providers" or at + 1 >= len(segments):
            raise ValueError(f"not a resource id: {text!r}")
        end = next((i for i in range(at + 2, len(segments)) if segments[i].lower() == "providers"), len(segments))
        pairs = segments[at + 2 : end]
        if not pairs or len(pairs) % 2:
            raise ValueError(f"not a resource id: {text!r}")
        scope = current if current.namespace else None
        current = ResourceId(subscription, group, segments[at + 1], tuple(pairs[::2]), tuple(pairs[1::2]), scope)
        at = end
    return current


def key_of(text: str) -> str:
    """The key of an id given as text: lower case, single slashes."""
    return "/" + "/".join(_SEGMENT.findall(text.lower()))
