"""Which addresses are taken, and the next free one: private addresses, MAC addresses, public addresses.

Both network interfaces and Bastion hosts keep what they were given in `state`: `ipConfigurations` (name in lower case →
`{"privateIPAddress", "subnet"}`) and `macAddress`; public IPs keep `ipAddress`. Azure reserves the first four and the
last address of a subnet (virtual-networks-faq); the first dynamic address is .4 [recorded]. What one IP configuration has
may be a block of addresses, `10.0.0.16/28`.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from ipaddress import IPv4Network

from azlan.arm.resource import Read, Row, Write
from azlan.base.ids import ResourceId
from azlan.base.nets import Address, address, network
from azlan.providers.network.shapes import PUBLIC_ADDRESS, invalid, ip_configuration_id, items

RESERVED_FIRST = 4
"""Network address, gateway and the two DNS addresses."""

MAC_PREFIXES = ("00-0D-3A", "00-22-48", "60-45-BD", "7C-1E-52")
"""Of Microsoft's, as they are seen on Azure's machines. Their number is a power of two."""

_SCATTER = 0x9E3779B1

PUBLIC_RANGES: tuple[str, ...] = ("203.0.113.0/24", "198.51.100.0/24", "192.0.2.0/24")
"""Where public addresses come from: the documentation ranges (RFC 5737), in this order."""


Taken = dict[str, tuple[Row | None, str]]
"""Private address → (row that has it, name of its IP configuration in lower case); None: the row being written."""


def taken_in(read: Read, subnet: str, *, but: str | None = None) -> Taken:
    """What is taken in the subnet with that key, without what the row `but` has. A subnet may have thousands of users:
    nothing is worked out here that only a refusal needs."""
    taken: Taken = {}
    for row, _ in read.referrers(subnet):
        if row.key == but:
            continue
        held: Mapping[str, Mapping[str, str]] = row.state.get("ipConfigurations") or {}
        for name, given in held.items():
            if given["subnet"] == subnet:
                for ip in each(given["privateIPAddress"]):
                    taken[ip] = row, name
    return taken


def each(given: str) -> list[str]:
    """The addresses of what an IP configuration was given: one, or those of its block."""
    return [str(ip) for ip in network(given)] if "/" in given else [given]


def _holder(owner: ResourceId, taken: tuple[Row | None, str]) -> str:
    """Id of the IP configuration that has a taken address."""
    row, name = taken
    if row is None:
        return ip_configuration_id(owner, name)
    names = (str(config["name"]) for config in items(row.properties, "ipConfigurations"))
    return ip_configuration_id(row.id, next(found for found in names if found.lower() == name))


def is_reserved(ip: Address, prefix: str) -> bool:
    """Whether Azure keeps the address of that prefix for itself."""
    net = network(prefix)
    offset = int(ip) - int(net.network_address)
    return offset < RESERVED_FIRST or (net.version == 4 and ip == net.broadcast_address)


def usable(prefix: str) -> int:
    """How many addresses of an IPv4 prefix can be given away."""
    return max(0, network(prefix).num_addresses - RESERVED_FIRST - 1)


def free_addresses(prefixes: Iterable[str], taken: Container[str], start: Address | None = None) -> Iterator[str]:
    """Free IPv4 addresses of a subnet in ascending order, from `start` on where it is given."""
    for prefix in prefixes:
        net = network(prefix)
        if not isinstance(net, IPv4Network):
            continue
        first = int(net.network_address) + RESERVED_FIRST
        if start is not None and start in net:
            first = max(first, int(start))
        for value in range(first, int(net.broadcast_address)):
            text = _dotted(value)
            if text not in taken:
                yield text


def _dotted(value: int) -> str:
    return f"{value >> 24}.{value >> 16 & 255}.{value >> 8 & 255}.{value & 255}"


def next_free(subnet: ResourceId, prefixes: list[str], taken: Taken) -> str:
    """The first free address; raises `SubnetIsFull`."""
    for found in free_addresses(prefixes, taken):
        return found
    raise invalid(
        "SubnetIsFull",
        f"Subnet {subnet.name} with address prefix {','.join(prefixes)} does not have enough capacity for 1 IP addresses.",
    )


def next_block(subnet: ResourceId, prefixes: list[str], taken: Taken, length: int) -> str:
    """The first block of that prefix length with nothing in it that is taken or reserved; raises `SubnetIsFull`."""
    for prefix in prefixes:
        net = network(prefix)
        if isinstance(net, IPv4Network) and net.prefixlen <= length:
            for block in net.subnets(new_prefix=length):
                if not any(str(ip) in taken or is_reserved(ip, prefix) for ip in block):
                    return str(block)
    raise invalid(
        "SubnetIsFull",
        f"Subnet {subnet.name} with address prefix {','.join(prefixes)} does not have enough capacity for a block of "
        f"{2 ** (32 - length)} IP addresses.",
    )


def claim_block(owner: ResourceId, name: str, wanted: str, prefixes: list[str], taken: Taken, length: int) -> str:
    """Check a static block for the IP configuration `name` of `owner`, every address of it as a static one."""
    try:
        block = network(wanted.strip() if "/" in wanted else f"{wanted.strip()}/{length}")
    except ValueError:
        block = None
    if block is None or block.prefixlen != length:
        raise invalid(
            "InvalidIPAddressFormat",
            f"The IP address {wanted} of IP configuration {ip_configuration_id(owner, name)} is not formatted correctly.",
        )
    for ip in block:
        claim(owner, name, str(ip), prefixes, taken)
    return str(block)


def claim(owner: ResourceId, name: str, wanted: str, prefixes: list[str], taken: Taken) -> str:
    """Check a static address for the IP configuration `name` of `owner`; returns it in canonical text."""
    try:
        ip = address(wanted.strip())
    except ValueError:
        raise invalid(
            "InvalidIPAddressFormat",
            f"The IP address {wanted} of IP configuration {ip_configuration_id(owner, name)} is not formatted correctly.",
        ) from None
    home = next((prefix for prefix in prefixes if ip in network(prefix)), None)
    if home is None:
        raise invalid(
            "PrivateIPAddressNotInSubnet",
            f"Private static IP address {wanted} does not belong to the range of subnet prefix {','.join(prefixes)}.",
        )
    if is_reserved(ip, home):
        raise invalid(
            "PrivateIPAddressInReservedRange",
            f"Private static IP address {wanted} falls within reserved IP range of subnet prefix {home}.",
        )
    if str(ip) in taken:
        raise invalid(
            "PrivateIPAddressIsAllocated",
            f"IP configuration {ip_configuration_id(owner, name)} is using the private IP address {ip} which is already "
            f"allocated to resource {_holder(owner, taken[str(ip)])}.",
        )
    return str(ip)


def new_mac(read: Read) -> str:
    """A MAC address no interface had before: `00-0D-3A-12-34-56`. Worked out from the revision, which never comes back;
    multiplying by an odd number reaches every value once before the first repeats, after 2^26 revisions."""
    value = read.revision * _SCATTER % (len(MAC_PREFIXES) << 24)
    low = value & 0xFFFFFF
    return f"{MAC_PREFIXES[value >> 24]}-{low >> 16:02X}-{low >> 8 & 255:02X}-{low & 255:02X}"


def fact_mac(mac: str) -> str:
    """As facts spell it: `00:0d:3a:12:34:56`."""
    return mac.replace("-", ":").lower()


def new_public_address(write: Write, besides: Container[str] = ()) -> str:
    """A public address nobody has, and not one of `besides`; raises `PublicIPCountLimitReached` where all are given away."""
    taken = {row.state.get("ipAddress") for row in write.list(PUBLIC_ADDRESS)}
    total = 0
    for prefix in PUBLIC_RANGES:
        net = network(prefix)
        for value in range(int(net.network_address) + 1, int(net.broadcast_address)):
            total += 1
            text = _dotted(value)
            if text not in taken and text not in besides:
                return text
    raise invalid(
        "PublicIPCountLimitReached",
        f"Cannot create more than {total} public IP addresses for this subscription in this region.",
    )
