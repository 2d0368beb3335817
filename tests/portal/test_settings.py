"""The settings pages of the portal in a browser: peerings of both halves, rules, routes, subnets, interfaces, logs, roles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playwright.sync_api import Locator, Page, expect

from .conftest import Visit

Make = Callable[..., Visit]
VERSION = "2024-05-01"
NETWORK = "Microsoft.Network"


def make(there: Visit, path: str, body: dict[str, Any], version: str = VERSION) -> str:
    """PUT and wait; returns the id. `path` is below the subscription."""
    located = {} if body.pop("nested", False) else {"location": "eastus2"}
    there.arm("PUT", path, {**located, **body}, version)
    there.page.wait_for_function(
        """async (url) => {
            const answer = await fetch(url, {headers: {"X-Azlan-Portal": "1"}});
            return (await answer.json()).properties.provisioningState === "Succeeded";
        }""",
        arg=f"/portal/arm{there.subscription}{path}?api-version={version}",
    )
    return there.subscription + path


def make_network(there: Visit, group: str, name: str, prefix: str = "10.0") -> str:
    there.arm("PUT", f"/resourceGroups/{group}", {"location": "eastus2"})
    subnets = [{"name": "subnet-1", "properties": {"addressPrefix": f"{prefix}.0.0/24"}}]
    space = {"addressSpace": {"addressPrefixes": [f"{prefix}.0.0/16"]}, "subnets": subnets}
    return make(there, f"/resourceGroups/{group}/providers/{NETWORK}/virtualNetworks/{name}", {"properties": space})


def read(there: Visit, id: str, version: str = VERSION) -> dict[str, Any]:
    answer: dict[str, Any] = there.arm("GET", id.removeprefix(there.subscription), None, version)
    return answer


def row(page: Page, table: str, name: str) -> Locator:
    return (
        page.get_by_role("table", name=table, exact=True)
        .get_by_role("row")
        .filter(has=page.get_by_role("cell", name=name, exact=True))
    )


def choose(place: Page | Locator, label: str, option: str) -> None:
    """An option of a dropdown; the list of options is the page's, not the form's."""
    page = place.page if isinstance(place, Locator) else place
    place.get_by_role("combobox", name=label, exact=True).click()
    page.get_by_role("option", name=option, exact=True).click()


def confirm(page: Page) -> None:
    page.get_by_role("dialog").get_by_role("button", name="Yes").click()


def test_one_form_peers_two_networks_both_ways_and_one_delete_parts_them(visit: Make) -> None:
    there = visit()
    page = there.open("/")
    one = make_network(there, "peer-rg", "vnet-1")
    two = make_network(there, "peer-rg", "vnet-2", "10.1")
    there.open(f"/resource{one}")
    page.get_by_role("navigation", name="Menu of vnet-1").get_by_role("link", name="Peerings").click()
    page.get_by_role("button", name="Add", exact=True).click()
    form = page.get_by_role("dialog", name="Add peering")
    remote = form.get_by_role("group", name="Remote virtual network summary")
    expect(form.get_by_label("Allow 'vnet-1' to access the peered virtual network")).to_be_checked()
    remote.get_by_label("Peering link name").fill("vnet-2-to-vnet-1")
    expect(remote.get_by_label("Resource Manager")).to_be_checked()
    expect(remote.get_by_label("I know my resource ID")).not_to_be_checked()
    expect(remote.get_by_label("Subscription")).to_be_visible()
    choose(remote, "Virtual network", "vnet-2")
    for mine, other in (("vnet-1", "vnet-2"), ("vnet-2", "vnet-1")):
        expect(form.get_by_label(f"Allow '{mine}' to access '{other}'")).to_be_checked()
        forwarded = form.get_by_label(f"Allow '{mine}' to receive forwarded traffic from '{other}'")
        expect(forwarded).not_to_be_checked()
        forwarded.check()
        transit = f"Allow gateway or route server in '{mine}' to forward traffic to '{other}'"
        expect(form.get_by_label(transit)).not_to_be_checked()
        gateway = f"Enable '{mine}' to use '{other}'s' remote gateway or route server"
        expect(form.get_by_label(gateway)).not_to_be_checked()
    there.picture("peering-form")
    form.get_by_role("button", name="Add", exact=True).click()
    expect(form.get_by_text("The value must not be empty.")).to_be_visible()
    local = form.get_by_role("group", name="Local virtual network peering summary")
    local.get_by_label("Peering link name").fill("vnet-1-to-vnet-2")
    form.get_by_role("button", name="Add", exact=True).click()
    expect(form).to_have_count(0)
    expect(row(page, "Peerings", "vnet-1-to-vnet-2")).to_contain_text("Connected")
    expect(row(page, "Peerings", "vnet-1-to-vnet-2")).to_contain_text("Fully Synchronized")
    there.picture("peerings")
    for half in (f"{one}/virtualNetworkPeerings/vnet-1-to-vnet-2", f"{two}/virtualNetworkPeerings/vnet-2-to-vnet-1"):
        properties = read(there, half)["properties"]
        assert properties["peeringState"] == "Connected"
        assert properties["allowForwardedTraffic"] is True
        assert properties["useRemoteGateways"] is False

    page.get_by_role("button", name="vnet-1-to-vnet-2").click()
    edit = page.get_by_role("dialog", name="vnet-1-to-vnet-2")
    edit.get_by_label("Allow 'vnet-1' to receive forwarded traffic from 'vnet-2'").uncheck()
    edit.get_by_role("button", name="Save").click()
    expect(edit).to_have_count(0)
    saved = read(there, f"{one}/virtualNetworkPeerings/vnet-1-to-vnet-2")
    assert saved["properties"]["allowForwardedTraffic"] is False

    page.get_by_label("Select vnet-1-to-vnet-2").check()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_role("dialog")).to_contain_text("deleted as well")
    there.picture("peering-delete")
    confirm(page)
    expect(page.get_by_text("Add a peering to get started")).to_be_visible()
    page.wait_for_function(
        "async (url) => (await (await fetch(url, {headers: {'X-Azlan-Portal': '1'}})).json()).value.length === 0",
        arg=f"/portal/arm{two}/virtualNetworkPeerings?api-version={VERSION}",
    )
    assert there.violations() == []


def test_a_peering_made_elsewhere_connects_and_falls_out_of_sync_before_ones_eyes(visit: Make) -> None:
    there = visit()
    page = there.open("/")
    one = make_network(there, "sync-rg", "hub-s")
    two = make_network(there, "sync-rg", "spoke-s", "10.1")
    below = one.removeprefix(there.subscription), two.removeprefix(there.subscription)
    make(
        there,
        f"{below[0]}/virtualNetworkPeerings/out",
        {"nested": True, "properties": {"remoteVirtualNetwork": {"id": two}}},
    )
    there.open(f"/resource{one}/peerings")
    expect(row(page, "Peerings", "out")).to_contain_text("Initiated")
    make(
        there,
        f"{below[1]}/virtualNetworkPeerings/back",
        {"nested": True, "properties": {"remoteVirtualNetwork": {"id": one}}},
    )
    expect(row(page, "Peerings", "out")).to_contain_text("Connected")
    body = read(there, two)
    body["properties"]["addressSpace"]["addressPrefixes"].append("10.2.0.0/16")
    make(there, below[1], {"properties": body["properties"]})
    expect(row(page, "Peerings", "out")).to_contain_text("sync required")
    page.get_by_label("Select out").check()
    page.get_by_role("button", name="Sync", exact=True).click()
    expect(row(page, "Peerings", "out")).to_contain_text("Fully Synchronized")


def provider(group: str, kind: str, name: str) -> str:
    return f"/resourceGroups/{group}/providers/{NETWORK}/{kind}/{name}"


def test_a_security_rule_is_added_edited_and_deleted(visit: Make) -> None:
    there = visit()
    page = there.open("/")
    # One name in two groups: the list of choices says which is which.
    make_network(there, "rules-too-rg", "vnet-1", "10.9")
    make_network(there, "rules-rg", "vnet-1")
    group = make(there, provider("rules-rg", "networkSecurityGroups", "nsg-1"), {})
    there.open(f"/resource{group}")
    page.get_by_role("navigation", name="Menu of nsg-1").get_by_role("link", name="Inbound security rules").click()
    expect(row(page, "Inbound security rules", "DenyAllInBound")).to_contain_text("65500")
    page.get_by_role("button", name="Add", exact=True).click()
    form = page.get_by_role("dialog", name="Add inbound security rule")
    expect(form.get_by_label("Source port ranges")).to_have_value("*")
    expect(form.get_by_label("Priority")).to_have_value("100")
    choose(form, "Source", "IP Addresses")
    form.get_by_label("Source IP addresses/CIDR ranges").fill("10.1.0.0/24, 10.2.0.4")
    choose(form, "Service", "SSH")
    expect(form.get_by_label("Destination port ranges")).to_have_value("22")
    expect(form.get_by_label("TCP")).to_be_checked()
    expect(form.get_by_label("Name")).to_have_value("AllowCidrBlockSSHInbound")
    there.picture("rule-form")
    form.get_by_label("Name").fill("allow-ssh")
    form.get_by_role("button", name="Add", exact=True).click()
    expect(form).to_have_count(0)
    expect(row(page, "Inbound security rules", "allow-ssh")).to_contain_text("10.1.0.0/24, 10.2.0.4")
    there.picture("rules")
    rule = read(there, f"{group}/securityRules/allow-ssh")["properties"]
    assert (rule["destinationPortRange"], rule["protocol"], rule["direction"]) == ("22", "Tcp", "Inbound")
    assert rule["sourceAddressPrefixes"] == ["10.1.0.0/24", "10.2.0.4"]

    page.get_by_role("button", name="allow-ssh", exact=True).click()
    edit = page.get_by_role("dialog", name="allow-ssh")
    choose(edit, "Service", "Custom")
    edit.get_by_label("Destination port ranges").fill("22,8000-8080")
    edit.get_by_label("Deny").check()
    edit.get_by_role("button", name="Save").click()
    expect(row(page, "Inbound security rules", "allow-ssh")).to_contain_text("8000-8080")
    expect(row(page, "Inbound security rules", "allow-ssh")).to_contain_text("Deny")

    page.get_by_label("Select DenyAllInBound").check()
    expect(page.get_by_role("button", name="Delete", exact=True)).to_be_disabled()
    page.get_by_label("Select DenyAllInBound").uncheck()
    page.get_by_label("Select allow-ssh").check()
    page.get_by_role("button", name="Delete", exact=True).click()
    confirm(page)
    expect(row(page, "Inbound security rules", "allow-ssh")).to_have_count(0)

    page.get_by_role("navigation", name="Menu of nsg-1").get_by_role("link", name="Subnets").click()
    page.get_by_role("button", name="Associate").click()
    form = page.get_by_role("dialog", name="Associate subnet")
    choose(form, "Virtual network", "vnet-1 rules-rg")
    choose(form, "Subnet", "subnet-1")
    form.get_by_role("button", name="OK").click()
    expect(row(page, "Subnets", "subnet-1")).to_contain_text("10.0.0.0/24")
    page.get_by_label("Select subnet-1").check()
    page.get_by_role("button", name="Dissociate").click()
    expect(page.get_by_text("No subnets are associated")).to_be_visible()
    assert there.violations() == []


def test_subnets_take_the_next_free_range_a_group_and_a_table_with_routes(visit: Make) -> None:
    there = visit()
    page = there.open("/")
    network = make_network(there, "subnets-rg", "vnet-1")
    group = make(there, provider("subnets-rg", "networkSecurityGroups", "nsg-s"), {})
    table = make(there, provider("subnets-rg", "routeTables", "table-s"), {})
    there.open(f"/resource{table}/routes")
    page.get_by_role("button", name="Add", exact=True).click()
    form = page.get_by_role("dialog", name="Add route")
    form.get_by_label("Route name").fill("to-spokes")
    choose(form, "Destination type", "IP Addresses")
    form.get_by_label("Destination IP addresses/CIDR ranges").fill("10.2.0.0/16")
    choose(form, "Next hop type", "Virtual appliance")
    form.get_by_label("Next hop address").fill("10.0.0.4")
    there.picture("route-form")
    form.get_by_role("button", name="Add", exact=True).click()
    expect(row(page, "Routes", "to-spokes")).to_contain_text("Virtual appliance")
    assert read(there, f"{table}/routes/to-spokes")["properties"]["nextHopIpAddress"] == "10.0.0.4"

    there.open(f"/resource{network}/subnets")
    expect(row(page, "Subnets", "subnet-1")).to_contain_text("251")
    page.get_by_role("button", name="Subnet", exact=True).click()
    form = page.get_by_role("dialog", name="Add a subnet")
    expect(form.get_by_label("Starting address")).to_have_value("10.0.1.0")
    form.get_by_label("Name").fill("subnet-2")
    form.get_by_label("Starting address").fill("10.0.0.128")
    form.get_by_label("Name").focus()
    expect(form.get_by_text("A range of this size cannot begin here")).to_be_visible()
    form.get_by_label("Starting address").fill("10.0.0.0")
    expect(form.get_by_text("overlaps with subnet 'subnet-1'")).to_be_visible()
    form.get_by_label("Starting address").fill("10.0.2.0")
    choose(form, "Network security group", "nsg-s")
    there.picture("subnet-form")
    form.get_by_role("button", name="Add", exact=True).click()
    expect(row(page, "Subnets", "subnet-2")).to_contain_text("nsg-s")
    page.get_by_role("button", name="subnet-2", exact=True).click()
    form = page.get_by_role("dialog", name="Edit subnet")
    choose(form, "Route table", "table-s")
    choose(form, "Network security group", "None")
    form.get_by_role("button", name="Save").click()
    expect(row(page, "Subnets", "subnet-2")).to_contain_text("table-s")
    there.picture("subnets")
    properties = read(there, f"{network}/subnets/subnet-2")["properties"]
    assert properties["routeTable"]["id"].lower() == table.lower()
    assert "networkSecurityGroup" not in properties
    assert properties["addressPrefix"] == "10.0.2.0/24"
    page.get_by_label("Select subnet-2").check()
    page.get_by_role("button", name="Delete", exact=True).click()
    confirm(page)
    expect(row(page, "Subnets", "subnet-2")).to_have_count(0)
    assert read(there, group)["properties"].get("subnets", []) == []
    assert there.violations() == []


def make_machine(there: Visit, group: str, name: str) -> tuple[str, str]:
    """A running machine in subnet-1 of a new vnet-1, with nsg-1 at its interface; returns the ids of machine and interface."""
    network = make_network(there, group, f"{name}-vnet")
    rules = make(there, provider(group, "networkSecurityGroups", f"{name}-nsg"), {})
    subnet = {"id": f"{network}/subnets/subnet-1"}
    properties = {
        "ipConfigurations": [{"name": "ipconfig1", "properties": {"subnet": subnet}}],
        "networkSecurityGroup": {"id": rules},
    }
    nic = make(there, provider(group, "networkInterfaces", f"{name}-nic"), {"properties": properties})
    image = {"publisher": "Canonical", "offer": "ubuntu-24_04-lts", "sku": "server", "version": "latest"}
    machine = {
        "hardwareProfile": {"vmSize": "Standard_B1s"},
        "storageProfile": {"imageReference": image, "osDisk": {"createOption": "FromImage"}},
        "osProfile": {"computerName": name, "adminUsername": "azureuser", "adminPassword": "Passw0rd!23456"},
        "networkProfile": {"networkInterfaces": [{"id": nic}]},
    }
    path = f"/resourceGroups/{group}/providers/Microsoft.Compute/virtualMachines/{name}"
    return make(there, path, {"properties": machine}, "2024-07-01"), nic


def test_a_machine_its_interface_what_is_effective_and_what_happened(visit: Make) -> None:
    there = visit()
    page = there.open("/")
    machine, nic = make_machine(there, "vm-rg", "vm-s")
    there.open(f"/resource{machine}")
    essentials = page.get_by_label("Essentials")
    expect(essentials).to_contain_text("Running")
    expect(essentials).to_contain_text("10.0.0.4")
    expect(essentials.get_by_role("link", name="vm-s-vnet/subnet-1")).to_be_visible()
    expect(page.get_by_role("button", name="Start", exact=True)).to_be_disabled()
    there.picture("machine")
    page.get_by_role("navigation", name="Menu of vm-s").get_by_role("link", name="Network settings").click()
    expect(page.get_by_role("table", name="Inbound port rules of vm-s-nsg")).to_contain_text("DenyAllInBound")
    there.picture("machine-network")

    there.open(f"/resource{nic}")
    menu = page.get_by_role("navigation", name="Menu of vm-s-nic")
    menu.get_by_role("link", name="Effective routes").click()
    routes = page.get_by_role("table", name="Effective routes")
    expect(routes.get_by_role("row").filter(has_text="10.0.0.0/16")).to_contain_text("VnetLocal")
    there.picture("effective-routes")
    menu.get_by_role("link", name="Effective security rules").click()
    expect(page.get_by_role("table", name="Inbound rules of vm-s-nsg")).to_contain_text("DenyAllInBound")
    there.picture("effective-rules")
    menu.get_by_role("link", name="Metrics").click()
    expect(page.get_by_role("table", name="Delivered")).to_contain_text("Packets delivered")
    there.picture("metrics")
    menu.get_by_role("link", name="IP configurations").click()
    page.get_by_label("Enable IP forwarding").check()
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_role("button", name="Apply")).to_have_count(0)
    page.get_by_role("button", name="ipconfig1", exact=True).click()
    form = page.get_by_role("dialog", name="Edit IP configuration")
    form.get_by_label("Static").check()
    form.get_by_label("Private IP address").fill("10.0.0.9")
    there.picture("ip-configuration")
    form.get_by_role("button", name="Save").click()
    expect(row(page, "IP configurations", "ipconfig1")).to_contain_text("10.0.0.9 (Static)")
    properties = read(there, nic)["properties"]
    assert properties["enableIPForwarding"] is True
    assert properties["ipConfigurations"][0]["properties"]["privateIPAddress"] == "10.0.0.9"

    menu.get_by_role("link", name="Activity log").click()
    log = page.get_by_role("table", name="Activity log")
    wrote = log.get_by_role("row").filter(has_text="Microsoft.Network/networkInterfaces/write").first
    expect(wrote).to_contain_text("Succeeded")
    expect(wrote).to_contain_text(there.user.name)
    there.picture("activity-log")
    wrote.get_by_role("button").click()
    expect(page.get_by_label("JSON of the event")).to_contain_text('"correlationId"')
    page.get_by_role("dialog").get_by_role("button", name="Close").click()
    assert there.violations() == []

    there.open(f"/resource{machine}")
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(essentials).to_contain_text("Deallocated")
    page.get_by_role("button", name="Start", exact=True).click()
    expect(essentials).to_contain_text("Running")


def test_roles_are_assigned_and_a_reader_is_offered_no_change(visit: Make) -> None:
    owner = visit()
    page = owner.open("/")
    network = make_network(owner, "roles-rg", "vnet-r")
    group = make(owner, provider("roles-rg", "networkSecurityGroups", "nsg-r"), {})
    reader = visit("Reader")
    there = reader.open("/")
    owner.open(f"/resource{owner.subscription}/resourceGroups/roles-rg/access")
    table = page.get_by_role("table", name="Role assignments")
    expect(table).to_contain_text("(you)")
    page.get_by_role("button", name="Add role assignment").click()
    form = page.get_by_role("dialog", name="Add role assignment")
    choose(form, "Role", "Network Contributor")
    form.get_by_label("Object ID").fill(str(reader.user.principal["objectId"]))
    form.get_by_role("button", name="Assign").click()
    assigned = table.get_by_role("row").filter(has_text="Network Contributor")
    expect(assigned).to_contain_text("This resource")
    owner.picture("access")
    assigned.get_by_role("checkbox").check()
    page.get_by_role("button", name="Delete", exact=True).click()
    confirm(page)
    expect(assigned).to_have_count(0)

    for path, heading in (
        (f"{network}/peerings", "Add a peering to get started"),
        (f"{network}/subnets", "subnet-1"),
        (f"{group}/inboundSecurityRules", "DenyAllInBound"),
        (f"{group}/subnets", "No subnets are associated"),
        (f"{network}/access", "(you)"),
        (f"{network}/addressSpace", "10.0.0.0 - 10.0.255.255"),
    ):
        reader.open(f"/resource{path}")
        expect(there.get_by_role("main").get_by_text(heading).first).to_be_visible()
        for button in ("Add", "Subnet", "Delete", "Associate", "Sync", "Save", "Add role assignment"):
            expect(there.get_by_role("main").get_by_role("button", name=button, exact=True)).to_have_count(0)
    assert owner.violations() == reader.violations() == []


def test_settings_pages_are_accessible_in_both_themes(visit: Make) -> None:
    there = visit()
    page = there.open("/")
    network = make_network(there, "plain-rg", "vnet-p")
    group = make(there, provider("plain-rg", "networkSecurityGroups", "nsg-p"), {})
    address = make(
        there,
        provider("plain-rg", "publicIPAddresses", "ip-p"),
        {"sku": {"name": "Standard"}, "properties": {"publicIPAllocationMethod": "Static"}},
    )
    properties = {
        "ipConfigurations": [{"name": "one", "properties": {"subnet": {"id": f"{network}/subnets/subnet-1"}}}]
    }
    nic = make(there, provider("plain-rg", "networkInterfaces", "nic-p"), {"properties": properties})
    for path, button in (
        (f"{network}/peerings", "Add"),
        (f"{network}/subnets", "Subnet"),
        (f"{network}/addressSpace", None),
        (f"{network}/connectedDevices", None),
        (f"{group}/inboundSecurityRules", "Add"),
        (f"{nic}/ipConfigurations", None),
        (f"{nic}/metrics", None),
        (f"{nic}/effectiveRoutes", None),
        (f"{address}/configuration", None),
        (f"{network}/activityLog", None),
        (f"{network}/access", None),
    ):
        there.open(f"/resource{path}")
        body = page.get_by_role("main")
        expect(body.get_by_role("navigation", name="Menu of").get_by_role("link").first).to_be_visible()
        expect(body.get_by_role("progressbar")).to_have_count(0)
        for theme in ("dark", "light"):
            there.theme(theme)
            page.mouse.move(700, 790)
            expect(page.get_by_role("tooltip")).to_have_count(0)
            there.picture(f"settings-{theme}-{path.split('/')[-1]}")
            assert there.axe() == [], (path, theme)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        if button is not None:
            page.get_by_role("button", name=button, exact=True).click()
            expect(page.get_by_role("dialog")).to_be_visible()
            assert there.axe() == [], (path, button)
    assert there.violations() == []
