import pytest

from azlan.providers.network import security_rules
from ledger import Ledger, network_id

PATH = "networkSecurityGroups/g/securityRules/r"
RULE = {
    "protocol": "*",
    "sourcePortRange": "*",
    "destinationPortRange": "80",
    "sourceAddressPrefix": "*",
    "destinationAddressPrefix": "*",
    "access": "allow",
    "priority": 900,
    "direction": "inbound",
}


@pytest.fixture
def cloud() -> Ledger:
    found = Ledger()
    found.put("networkSecurityGroups/g")
    return found


def test_as_az_vm_open_port_sends_it(cloud: Ledger) -> None:
    shown = cloud.put(PATH, RULE, version="2022-01-01")
    assert shown == {
        "name": "r",
        "id": network_id(PATH),
        "etag": cloud.get("networkSecurityGroups/g")["etag"],
        "type": "Microsoft.Network/networkSecurityGroups/securityRules",
        "properties": {
            "provisioningState": "Succeeded",
            "protocol": "*",
            "sourcePortRange": "*",
            "destinationPortRange": "80",
            "sourceAddressPrefix": "*",
            "destinationAddressPrefix": "*",
            "access": "Allow",
            "priority": 900,
            "direction": "Inbound",
            "sourcePortRanges": [],
            "destinationPortRanges": [],
            "sourceAddressPrefixes": [],
            "destinationAddressPrefixes": [],
        },
    }
    assert cloud.put(PATH, shown["properties"])["properties"] == shown["properties"]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("virtualnetwork", "VirtualNetwork"),
        ("INTERNET", "Internet"),
        ("storage.EastUS2", "Storage.EastUS2"),
        ("10.0.0.0/24", "10.0.0.0/24"),
        ("192.0.2.7", "192.0.2.7"),
        ("fd00::/8", "fd00::/8"),
        ("*", "*"),
        ("1234", "1234"),
    ],
)
def test_addresses_in_azures_spelling(cloud: Ledger, given: str, kept: str) -> None:
    assert cloud.put(PATH, {**RULE, "sourceAddressPrefix": given})["properties"]["sourceAddressPrefix"] == kept


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        (
            {"priority": 99},
            "SecurityRuleInvalidPriority",
            "Security rule has invalid Priority. Value provided: 99 Allowed range 100-4096.",
        ),
        ({"priority": 4097}, "SecurityRuleInvalidPriority", "Value provided: 4097"),
        ({"priority": None}, "SecurityRuleInvalidPriority", "Value provided: 0"),
        (
            {"destinationPortRange": "80,443"},
            "SecurityRuleInvalidPortRange",
            "Security rule has invalid Port range. Value provided: 80,443. Value should be an integer OR integer range with "
            "'-' delimiter. Valid range 0-65535.",
        ),
        ({"destinationPortRange": "443-80"}, "SecurityRuleInvalidPortRange", "443-80"),
        ({"destinationPortRange": "70000"}, "SecurityRuleInvalidPortRange", "70000"),
        ({"sourcePortRange": "x"}, "SecurityRuleInvalidPortRange", "x"),
        (
            {"sourceAddressPrefix": "193.23.120.230/30"},
            "SecurityRuleInvalidAddressPrefix",
            "Security rule has invalid Address prefix. Value provided: 193.23.120.230/30",
        ),
        ({"sourceAddressPrefix": "AzureBastionSubnet"}, "SecurityRuleInvalidAddressPrefix", "AzureBastionSubnet"),
        ({"protocol": "Sctp"}, "InvalidRequestFormat", "Cannot parse the request."),
        ({"access": None}, "SecurityRuleParametersMissing", "Access"),
        (
            {"destinationPortRange": None},
            "SecurityRuleParametersMissing",
            "DestinationPortRanges or DestinationPortRange",
        ),
        ({"sourceAddressPrefix": None}, "SecurityRuleParametersMissing", "SourceAddressPrefixes"),
        ({"sourceAddressPrefixes": ["10.0.0.0/8"]}, "SecurityRuleParameterConflict", "both SourceAddressPrefix"),
        (
            {"sourceAddressPrefix": None, "sourceAddressPrefixes": ["10.0.0.0/8", "*"]},
            "SecurityRuleParameterContainsUnsupportedValue",
            "Unsupported value used: *.",
        ),
        (
            {
                "sourceAddressPrefix": None,
                "sourceApplicationSecurityGroups": [{"id": network_id("applicationSecurityGroups/a")}],
            },
            "InvalidResourceReference",
            "applicationSecurityGroups/a",
        ),
    ],
)
def test_rules_that_are_refused(cloud: Ledger, change: dict, code: str, message: str) -> None:
    error = cloud.refused(PATH, {**RULE, **change})
    assert (error.status, error.code) == (400, code)
    assert message in error.message


def test_conflict_with_another_rule_and_not_with_itself(cloud: Ledger) -> None:
    cloud.put(PATH, RULE)
    cloud.put(PATH, {**RULE, "destinationPortRange": "81"})
    error = cloud.refused("networkSecurityGroups/g/securityRules/other", RULE)
    assert (
        error.message == "Security rule other conflicts with rule r. Rules cannot have the same Priority and Direction."
    )


def test_missing_group(cloud: Ledger) -> None:
    assert cloud.refused("networkSecurityGroups/none/securityRules/r", RULE).code == "ParentResourceNotFound"


def test_limit_of_a_group(cloud: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(security_rules, "RULES_A_GROUP", 1)
    cloud.put(PATH, RULE)
    error = cloud.refused("networkSecurityGroups/g/securityRules/other", {**RULE, "priority": 901})
    assert error.code == "SecurityRuleCountLimitReached"
