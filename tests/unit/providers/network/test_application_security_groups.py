"""The group itself; who is in it and what follows is `test_memberships.py`."""

import pytest

from ledger import Ledger, network_id, nic_properties

PATH = "applicationSecurityGroups/web"


@pytest.fixture
def cloud() -> Ledger:
    found = Ledger()
    found.vnet("v", "10.0.0.0/16")
    found.subnet("v", "s", "10.0.0.0/24")
    return found


def test_as_recorded(cloud: Ledger) -> None:
    shown = cloud.put(PATH, tags={"foo": "doo"}, version="2021-08-01")
    assert shown == {
        "name": "web",
        "id": network_id(PATH),
        "etag": shown["etag"],
        "type": "Microsoft.Network/applicationSecurityGroups",
        "location": "eastus2",
        "tags": {"foo": "doo"},
        "properties": {"provisioningState": "Succeeded"},
    }
    again = cloud.put(PATH, {"resourceGuid": "sent back"}, tags={"foo": "bar"}, version="2021-08-01")
    assert (again["tags"], again["properties"]) == ({"foo": "bar"}, {"provisioningState": "Succeeded"})


def test_properties_of_others_are_refused(cloud: Ledger) -> None:
    assert cloud.refused(PATH, {"securityRules": []}).code == "InvalidRequestFormat"


def test_a_group_in_use_stays(cloud: Ledger) -> None:
    cloud.put(PATH)
    config = nic_properties("v/s")
    config["ipConfigurations"][0]["properties"]["applicationSecurityGroups"] = [{"id": network_id(PATH)}]
    cloud.put("networkInterfaces/n", config)
    refused = cloud.refused_delete(PATH)
    assert (refused.status, refused.code, refused.message) == (
        400,
        "InUseApplicationSecurityGroupCannotBeDeleted",
        "Application Security Group web cannot be deleted because it is referenced by IpConfiguration(s) ipconfig1.",
    )
    cloud.delete("networkInterfaces/n")
    rule = {
        "protocol": "*",
        "sourcePortRange": "*",
        "destinationPortRange": "80",
        "sourceAddressPrefix": "*",
        "destinationApplicationSecurityGroups": [{"id": network_id(PATH)}],
        "access": "Allow",
        "priority": 100,
        "direction": "Inbound",
    }
    cloud.put("networkSecurityGroups/g", {"securityRules": [{"name": "r", "properties": rule}]})
    assert "referenced by SecurityRule(s) r." in cloud.refused_delete(PATH).message
    cloud.delete("networkSecurityGroups/g")
    cloud.delete(PATH)
    with pytest.raises(KeyError):
        cloud.get(PATH)
