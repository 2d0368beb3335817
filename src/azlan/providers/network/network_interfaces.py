"""Microsoft.Network/networkInterfaces: addresses are allocated on write and kept; the machine is whoever refers here.

Follows the specification's networkInterface.json and recordings of the SDK's; see `allocation.py` for the addresses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from azlan.arm.resource import Action, Json, Read, Reference, ResourceType, Row, View, Write
from azlan.base.errors import ArmError
from azlan.base.ids import ResourceId, key_of, parse_id
from azlan.base.nets import address
from azlan.contract.facts import Fact, IpConfig, Nic
from azlan.providers.network import memberships
from azlan.providers.network.address_space import prefixes_of
from azlan.providers.network.allocation import (
    Taken,
    claim,
    claim_block,
    each,
    fact_mac,
    new_mac,
    new_public_address,
    next_block,
    next_free,
    taken_in,
)
from azlan.providers.network.effective import effective_routes, effective_security
from azlan.providers.network.shapes import (
    API_VERSIONS,
    NIC,
    PUBLIC_ADDRESS,
    SECURITY_GROUP,
    SUBNET,
    VIRTUAL_MACHINE,
    Document,
    Item,
    Ref,
    Shape,
    decorate,
    fold,
    internal_suffix,
    invalid,
    ip_configuration_id,
    items,
    location_of,
    parent_key,
    public_address_taken,
    ref_key,
    resource_guid,
    same_region,
    settle,
)

CONFIGURATIONS = "ipConfigurations"
CONFIGURATIONS_A_NIC = 256
BLOCK_LENGTH = 28
"""`privateIPAddressPrefixLength` of the blocks of addresses that Azure gives to secondary IP configurations."""
AZURE_PROVIDED = "AzureProvidedDNS"
"""Instead of servers' addresses, by itself: Azure's own, whatever the virtual network says."""
AZURE_DNS = "168.63.129.16"

JOINED = (
    ("gatewayLoadBalancer", "loadBalancers/frontendIPConfigurations", "loadBalancers/frontendIPConfigurations/join"),
    (
        f"{memberships.GROUPS}[]",
        "applicationSecurityGroups",
        "applicationSecurityGroups/joinIpConfiguration",
    ),
    ("virtualNetworkTaps[]", "virtualNetworkTaps", "virtualNetworkTaps/join"),
    (
        "applicationGatewayBackendAddressPools[]",
        "applicationGateways/backendAddressPools",
        "applicationGateways/backendAddressPools/join",
    ),
    (
        "loadBalancerBackendAddressPools[]",
        "loadBalancers/backendAddressPools",
        "loadBalancers/backendAddressPools/join",
    ),
    ("loadBalancerInboundNatRules[]", "loadBalancers/inboundNatRules", "loadBalancers/inboundNatRules/join"),
)
"""What else an IP configuration may refer to: member, type, permission, the latter two below Microsoft.Network."""


class HandedOn(BaseModel):
    """What of a public address may be said with the interface."""

    model_config = ConfigDict(extra="ignore")
    deleteOption: Annotated[Literal["Delete", "Detach"], fold("Delete", "Detach")] | None = None


class PublicAddressRef(Ref):
    properties: HandedOn | None = None


class NetworkInterfaceIPConfigurationPropertiesFormat(Shape):
    dropped: ClassVar[frozenset[str]] = frozenset({"provisioningState", "privateLinkConnectionProperties"})
    privateIPAddress: str | None = None
    privateIPAddressPrefixLength: int | None = None
    privateIPAllocationMethod: Annotated[Literal["Static", "Dynamic"], fold("Static", "Dynamic")] | None = None
    privateIPAddressVersion: Annotated[Literal["IPv4", "IPv6"], fold("IPv4", "IPv6")] | None = None
    subnet: Ref | None = None
    primary: bool | None = None
    publicIPAddress: PublicAddressRef | None = None
    applicationSecurityGroups: list[Ref] | None = None
    gatewayLoadBalancer: Ref | None = None
    virtualNetworkTaps: list[Ref] | None = None
    applicationGatewayBackendAddressPools: list[Ref] | None = None
    loadBalancerBackendAddressPools: list[Ref] | None = None
    loadBalancerInboundNatRules: list[Ref] | None = None
    provisioningState: Any = None
    privateLinkConnectionProperties: Any = None


class NetworkInterfaceIPConfiguration(Item):
    properties: NetworkInterfaceIPConfigurationPropertiesFormat | None = None


class NetworkInterfaceDnsSettings(Shape):
    dropped: ClassVar[frozenset[str]] = frozenset({"appliedDnsServers", "internalFqdn", "internalDomainNameSuffix"})
    dnsServers: list[str] | None = None
    internalDnsNameLabel: str | None = None
    appliedDnsServers: Any = None
    internalFqdn: Any = None
    internalDomainNameSuffix: Any = None


class NetworkInterfacePropertiesFormat(Shape):
    dropped: ClassVar[frozenset[str]] = frozenset(
        {
            "virtualMachine",
            "privateEndpoint",
            "tapConfigurations",
            "macAddress",
            "primary",
            "vnetEncryptionSupported",
            "defaultOutboundConnectivityEnabled",
            "hostedWorkloads",
            "dscpConfiguration",
            "resourceGuid",
            "provisioningState",
            "allowPort25Out",
            "privateLinkService",
        }
    )
    ipConfigurations: list[NetworkInterfaceIPConfiguration] | None = None
    networkSecurityGroup: Ref | None = None
    dnsSettings: NetworkInterfaceDnsSettings | None = None
    enableAcceleratedNetworking: bool | None = None
    disableTcpStateTracking: bool | None = None
    enableIPForwarding: bool | None = None
    workloadType: str | None = None
    nicType: Annotated[Literal["Standard", "Elastic"], fold("Standard", "Elastic")] | None = None
    migrationPhase: str | None = None
    auxiliaryMode: str | None = None
    auxiliarySku: str | None = None
    virtualMachine: Any = None
    privateEndpoint: Any = None
    tapConfigurations: Any = None
    macAddress: Any = None
    primary: Any = None
    vnetEncryptionSupported: Any = None
    defaultOutboundConnectivityEnabled: Any = None
    hostedWorkloads: Any = None
    dscpConfiguration: Any = None
    resourceGuid: Any = None
    provisioningState: Any = None
    allowPort25Out: Any = None
    privateLinkService: Any = None


class NetworkInterface(Document):
    extendedLocation: Any = None
    properties: NetworkInterfacePropertiesFormat | None = None


GOES_WITH_MACHINE = "goesWithMachine"
"""Set by the machine. State of an interface whose machine is being deleted with it: public addresses that are to, go as well."""


def accept(write: Write) -> None:
    _hand_on_delete_options(write)
    settle(write, NetworkInterface)
    resource_guid(write)
    properties = write.properties
    configs = _check_configurations(write)
    memberships.check_interface(write, configs)
    same_region(write, (properties.get("networkSecurityGroup") or {}).get("id"), write.location)
    for name in ("enableAcceleratedNetworking", "enableIPForwarding", "disableTcpStateTracking"):
        properties.setdefault(name, False)
    properties.setdefault("nicType", "Standard")
    settings = properties.setdefault("dnsSettings", {})
    servers = settings.setdefault("dnsServers", [])
    if servers != [AZURE_PROVIDED]:
        for server in servers:
            _check_dns_server(write.id, server)
    if settings.get("internalDnsNameLabel"):
        _check_label(write.id, settings["internalDnsNameLabel"])
    else:
        settings.pop("internalDnsNameLabel", None)
    if "macAddress" not in write.state:
        write.state["macAddress"] = new_mac(write)
    _allocate(write, configs)
    _associate(write, configs)


def _check_dns_server(id: ResourceId, server: str) -> None:
    try:
        address(server)
    except ValueError:
        raise invalid(
            "InvalidIPAddressFormat", f"The DNS server {server} of resource {id} is not an IP address."
        ) from None


def _check_label(id: ResourceId, label: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?", label):
        raise invalid(
            "InvalidDnsNameLabel",
            f"The internal DNS name label {label} of resource {id} is not valid: it has up to 63 letters, digits and '-', "
            "and begins and ends with a letter or digit.",
        )


def _check_configurations(write: Write) -> list[Json]:
    """Names, one subnet for all, one primary; returns them with their defaults filled in."""
    configs = items(write.properties, CONFIGURATIONS)
    if not configs:
        raise invalid(
            "NetworkInterfaceMustHaveIpConfiguration",
            f"Network interface {write.id} must have one or more IP configurations.",
        )
    if len(configs) > CONFIGURATIONS_A_NIC:
        raise invalid(
            "TooManyIpConfigurations",
            f"Network interface {write.id} has more than {CONFIGURATIONS_A_NIC} IP configurations.",
        )
    names = [str(config.get("name") or "").lower() for config in configs]
    if "" in names or len(set(names)) != len(names):
        raise invalid("InvalidIpConfigurationName", f"IP configurations of {write.id} must have names of their own.")
    for config in configs:
        properties = config.setdefault("properties", {})
        properties.setdefault("privateIPAllocationMethod", "Dynamic")
        properties.setdefault("privateIPAddressVersion", "IPv4")
        if not ref_key(properties.get("subnet")):
            raise invalid(
                "SubnetRequired",
                f"IP configuration {config['name']} of network interface {write.id} must reference a subnet.",
            )
        _refuse_ipv6(write, config["name"], properties)
    _check_primary(write, configs)
    for config in configs:
        _check_block(write.id, config)
    subnets = {ref_key(config["properties"]["subnet"]) for config in configs}
    if len(subnets) > 1:
        raise invalid(
            "IpConfigurationsOnSameNicCannotUseDifferentSubnets",
            f"IP configurations on the same network interface {write.id} cannot use different subnets.",
        )
    return configs


def _refuse_ipv6(write: Write, name: str, properties: Json) -> None:
    """IPv6 addresses, which Azlan's machines do not get."""
    if properties["privateIPAddressVersion"] == "IPv6":
        raise invalid(
            "IPv6NotSupported",
            f"IP configuration {name} of network interface {write.id} cannot be IPv6: Azlan's machines have IPv4 addresses "
            "only.",
        )


def _check_block(id: ResourceId, config: Json) -> None:
    properties = config["properties"]
    length = properties.get("privateIPAddressPrefixLength")
    if length is None:
        return
    why = (
        f"must be {BLOCK_LENGTH}"
        if length != BLOCK_LENGTH
        else "is not for the primary one"
        if properties["primary"]
        else "is not for one that has a public IP address"
        if ref_key(properties.get("publicIPAddress"))
        else None
    )
    if why:
        raise invalid(
            "InvalidPrivateIPAddressPrefixLength",
            f"The private IP address prefix length {length} of IP configuration {ip_configuration_id(id, config['name'])} {why}.",
        )


def _check_primary(write: Write, configs: list[Json]) -> None:
    marked = [config for config in configs if config["properties"].get("primary")]
    if len(marked) > 1:
        raise invalid(
            "OnlyOnePrimaryIpConfigurationAllowed",
            f"Network interface {write.id} must have exactly one primary IP configuration.",
        )
    primary = marked[0] if marked else configs[0]
    for config in configs:
        config["properties"]["primary"] = config is primary


def _allocate(write: Write, configs: list[Json]) -> None:
    """Give every IP configuration its private address: those asked for first, then the first free ones."""
    subnet_id = str(configs[0]["properties"]["subnet"]["id"])
    key = key_of(subnet_id)
    found = write.child(key)
    if found is None:
        return  # the declaration's reference refuses it
    same_region(write, subnet_id, write.location)
    prefixes = prefixes_of(found[0].get("properties") or {})
    held: dict[str, Json] = write.state.get(CONFIGURATIONS) or {}
    taken = taken_in(write, key, but=write.id.key)
    given: dict[str, Json] = {}
    wait: list[Json] = []
    for config in configs:
        name, properties = config["name"], config["properties"]
        static = properties["privateIPAllocationMethod"] == "Static"
        kept = held.get(name.lower())
        asked = properties.pop("privateIPAddress", None) if not static else properties.get("privateIPAddress")
        length = properties.get("privateIPAddressPrefixLength")
        if static and asked:
            at = write.id, name, asked, prefixes, taken
            ip = claim_block(*at, length) if length else claim(*at)
            properties["privateIPAddress"] = ip
        elif kept is not None and kept["subnet"] == key and _still(kept["privateIPAddress"], length, taken):
            ip = kept["privateIPAddress"]
        else:
            wait.append(config)
            continue
        given[name.lower()] = _grant(name, ip, key, taken)
    for config in wait:
        length = config["properties"].get("privateIPAddressPrefixLength")
        home = parse_id(subnet_id)
        ip = next_block(home, prefixes, taken, length) if length else next_free(home, prefixes, taken)
        given[config["name"].lower()] = _grant(config["name"], ip, key, taken)
    write.state[CONFIGURATIONS] = given


def _still(held: str, length: int | None, taken: Taken) -> bool:
    """Whether what an IP configuration has is of the kind that it is to have, and free but for it."""
    kind = f"/{length}" if length else ""
    return (held.endswith(kind) if kind else "/" not in held) and not any(ip in taken for ip in each(held))


def _grant(name: str, ip: str, subnet: str, taken: Taken) -> Json:
    taken.update((one, (None, name.lower())) for one in each(ip))
    return {"privateIPAddress": ip, "subnet": subnet}


def _associate(write: Write, configs: list[Json]) -> None:
    """Check public addresses; a dynamic one gets its address with its use and loses it with it."""
    mine: dict[str, str] = {}
    fresh: set[str] = set()
    for config in configs:
        target = (config["properties"].get("publicIPAddress") or {}).get("id")
        if not target:
            continue
        key = key_of(target)
        if key in mine:
            raise invalid(
                "PublicIPReferencedByMultipleIPConfigs",
                f"Public IP address {target} is referenced by multiple ipconfigs in resource {write.id}.",
            )
        mine[key] = target
        public_address_taken(write, config["name"], target)
        same_region(write, target, write.location)
        row = write.get(key)
        if row is not None and row.type == PUBLIC_ADDRESS and "ipAddress" not in row.state:
            ip = new_public_address(write, besides=fresh)
            fresh.add(ip)
            write.change(key).state["ipAddress"] = ip
    _release(write, keep=mine)


def _hand_on_delete_options(write: Write) -> None:
    """`publicIPAddress.properties.deleteOption` of an IP configuration is the address' own."""
    for config in items(write.properties, CONFIGURATIONS):
        reference = (config.get("properties") or {}).get("publicIPAddress") or {}
        option = str((reference.pop("properties", None) or {}).get("deleteOption") or "").capitalize()
        key = ref_key(reference)
        row = write.get(key) if key and option else None
        if key and row is not None and row.properties.get("deleteOption") != option:
            write.change(key).properties["deleteOption"] = option


def after_delete(row: Row, read: Read) -> Iterable[ResourceId]:
    """Public addresses whose `deleteOption` is Delete, where the interface went with its machine."""
    if not row.state.get(GOES_WITH_MACHINE):
        return
    for config in items(row.properties, CONFIGURATIONS):
        key = ref_key((config.get("properties") or {}).get("publicIPAddress"))
        found = read.get(key) if key else None
        if found is not None and found.properties.get("deleteOption") == "Delete":
            yield found.id


def _release(write: Write, keep: Iterable[str] = ()) -> None:
    for config in items((write.before or {}).get("properties") or {}, CONFIGURATIONS):
        key = ref_key((config.get("properties") or {}).get("publicIPAddress"))
        row = write.get(key) if key else None
        if key and key not in keep and row is not None and row.properties.get("publicIPAllocationMethod") == "Dynamic":
            write.change(key).state.pop("ipAddress", None)


def removed(write: Write) -> None:
    _release(write)


def facts(row: Row, read: Read) -> Iterable[Fact]:
    held = row.state.get(CONFIGURATIONS) or {}
    configs = sorted(items(row.properties, CONFIGURATIONS), key=lambda config: not config["properties"].get("primary"))
    ready = [config for config in configs if config["name"].lower() in held]
    if not ready:
        return
    machine = next(iter(read.referrers(row.key, VIRTUAL_MACHINE)), None)
    settings = row.properties.get("dnsSettings") or {}
    yield Nic(
        row.key,
        held[ready[0]["name"].lower()]["subnet"],
        fact_mac(row.state["macAddress"]),
        tuple(
            IpConfig(
                f"{row.key}/ipconfigurations/{config['name'].lower()}",
                ip,
                ref_key(config["properties"].get("publicIPAddress")),
                tuple(filter(None, map(ref_key, items(config["properties"], memberships.GROUPS)))),
            )
            for config in ready
            for ip in each(held[config["name"].lower()]["privateIPAddress"])
        ),
        ref_key(row.properties.get("networkSecurityGroup")),
        bool(row.properties.get("enableIPForwarding")),
        machine[0].key if machine else None,
        dns_servers=tuple(AZURE_DNS if s == AZURE_PROVIDED else s for s in settings.get("dnsServers") or ()),
        dns_label=settings.get("internalDnsNameLabel"),
    )


def view(view: View) -> None:
    properties, state = view.properties, view.state
    held = state.get(CONFIGURATIONS) or {}
    for config in decorate(view, CONFIGURATIONS, f"{NIC}/{CONFIGURATIONS}"):
        given = held.get(config["name"].lower())
        if given:
            config["properties"]["privateIPAddress"] = given["privateIPAddress"]
    properties["resourceGuid"] = state["resourceGuid"]
    _show_names(view, held)
    properties.setdefault("hostedWorkloads", [])
    properties.setdefault("tapConfigurations", [])
    machine = next(iter(view.referrers(view.id.key, VIRTUAL_MACHINE)), None)
    if machine is not None:
        row, _ = machine
        properties["macAddress"] = state["macAddress"]
        properties["virtualMachine"] = {"id": str(row.id)}
        properties["primary"] = _is_primary(row, view.id.key)
    if view.api_version >= "2021-05-01":
        properties["vnetEncryptionSupported"] = False
    if view.api_version >= "2022-09-01":  # of 2022-05-01 and 2022-07-01 it is recorded that they are not shown
        properties.setdefault("auxiliaryMode", "None")
        properties.setdefault("auxiliarySku", "None")
    if view.api_version < "2022-05-01":
        properties.pop("disableTcpStateTracking", None)
    if view.api_version >= "2022-05-01":
        properties["allowPort25Out"] = True
        view.doc["kind"] = "Regular"


def _show_names(view: View, held: Json) -> None:
    settings = view.properties.setdefault("dnsSettings", {})
    settings.setdefault("dnsServers", [])
    settings["appliedDnsServers"] = list(settings["dnsServers"])
    subnet = next((given["subnet"] for given in held.values()), None)
    vnet = view.get(parent_key(subnet)) if subnet else None
    if vnet is not None:
        suffix = internal_suffix(vnet.state["resourceGuid"], location_of(vnet))
        settings["internalDomainNameSuffix"] = suffix
        if settings.get("internalDnsNameLabel"):
            settings["internalFqdn"] = f"{settings['internalDnsNameLabel']}.{suffix}"


def _is_primary(machine: Row, nic: str) -> bool:
    """Whether the machine calls this interface its primary one; its only one always is."""
    attached = items(machine.properties.get("networkProfile") or {}, "networkInterfaces")
    mine = next((entry for entry in attached if ref_key(entry) == nic), {})
    return len(attached) == 1 or bool((mine.get("properties") or {}).get("primary"))


def in_use(id: ResourceId, referrers: list[tuple[Row, str]], _read: Read) -> ArmError:
    return invalid(
        "NicInUse",
        f"Network Interface {id} is used by existing resource {referrers[0][0].id}. In order to delete the network "
        "interface, it must be dissociated from the resource. To learn more, see aka.ms/deletenic.",
    )


RESOURCE = ResourceType(
    type=NIC,
    api_versions=API_VERSIONS,
    model=NetworkInterface,
    read_only=(
        "properties.resourceGuid",
        "properties.virtualMachine",
        "properties.macAddress",
        "properties.primary",
        "properties.hostedWorkloads",
        "properties.tapConfigurations",
        "properties.vnetEncryptionSupported",
        "properties.defaultOutboundConnectivityEnabled",
        "properties.allowPort25Out",
    ),
    references=(
        Reference(
            "properties.ipConfigurations[].properties.subnet.id",
            (SUBNET,),
            permission="Microsoft.Network/virtualNetworks/subnets/join/action",
        ),
        Reference(
            "properties.ipConfigurations[].properties.publicIPAddress.id",
            (PUBLIC_ADDRESS,),
            permission="Microsoft.Network/publicIPAddresses/join/action",
        ),
        Reference(
            "properties.networkSecurityGroup.id",
            (SECURITY_GROUP,),
            permission="Microsoft.Network/networkSecurityGroups/join/action",
        ),
        *(
            Reference(
                f"properties.ipConfigurations[].properties.{member}.id",
                (f"Microsoft.Network/{type}",),
                permission=f"Microsoft.Network/{permission}/action",
            )
            for member, type, permission in JOINED
        ),
    ),
    accept=accept,
    removed=removed,
    after_delete=after_delete,
    facts=facts,
    view=view,
    in_use=in_use,
    elements=("ipConfigurations", "loadBalancers", "tapConfigurations"),
    actions={
        "effectiveRouteTable": Action(effective_routes),
        "effectiveNetworkSecurityGroups": Action(effective_security),
    },
    accepted_state="Succeeded",
    display={"singular": "network interface", "plural": "network interfaces"},
)
