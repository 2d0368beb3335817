"""The script of `azlan env pwsh`: it is PowerShell, calls only what there is, leaves nothing behind, quotes whatever it is given.

There is no PowerShell on the computers of this project: a grammar (tree-sitter-powershell) says whether the text parses, and
the table below what its cmdlets take, read in the sources that it names. What a string literal holds follows PowerShell's
own tokenizer (PowerShell/PowerShell, src/System.Management.Automation/engine/parser/tokenizer.cs, ScanStringLiteral).
"""

from __future__ import annotations

import base64
import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tree_sitter import Node
from tree_sitter_language_pack import get_parser
from typer.testing import CliRunner

from azlan.commands.cli import cli
from azlan.commands.clouds import CommandError
from azlan.commands.powershell import CONNECTIONS, Connect, assignments, quoted, script
from azlan.services.identity import PUBLIC_CLIENTS

from .conftest import Served

PARSER = get_parser("powershell")
ENDPOINT = "https://localhost:8443"
SECRET = "s3cret'\u2019x"
VARIABLES = {
    "SSL_CERT_FILE": "/home/it's/ca-bundle.pem",
    "AZURE_CLIENT_ID": "00000000-0000-0000-0000-000000000001",
    "AZURE_CLIENT_SECRET": SECRET,
    "AZURE_TENANT_ID": "00000000-0000-0000-0000-000000000002",
    "AZURE_SUBSCRIPTION_ID": "00000000-0000-0000-0000-000000000003",
}
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=40)

ACCOUNTS = "Azure/azure-powershell src/Accounts/Accounts/"
CONTEXT = ACCOUNTS + "Common/AzureContextModificationCmdlet.cs"
CONFIG = "Azure/azure-powershell src/Accounts/Authentication/Config/Definitions/"
SHELL = "PowerShell/PowerShell src/"
UTILITY = SHELL + "Microsoft.PowerShell.Commands.Utility/commands/utility/"
COMMON = frozenset({"WarningAction", "ErrorAction"})
"""Of every cmdlet: System.Management.Automation/engine/CommonCommandParameters.cs."""


@dataclass(frozen=True)
class Cmdlet:
    """What a cmdlet takes: its parameters, or what each of its parameter sets takes, and where that is read."""

    sources: tuple[str, ...]
    sets: tuple[frozenset[str], ...]


def cmdlet(*sources: str, takes: str = "", sets: tuple[str, ...] = ()) -> Cmdlet:
    return Cmdlet(sources, tuple(frozenset(names.split()) for names in sets or (takes,)))


CMDLETS = {
    "Add-Type": cmdlet(
        UTILITY + "AddType.cs", sets=("TypeDefinition", "Namespace Name MemberDefinition"),
    ),
    "Invoke-RestMethod": cmdlet(
        UTILITY + "WebCmdlet/Common/WebRequestPSCmdlet.Common.cs", takes="Uri TimeoutSec",
    ),
    "Write-Warning": cmdlet(UTILITY + "write.cs", takes="Message"),
    "New-Object": cmdlet(UTILITY + "New-Object.cs", takes="TypeName ArgumentList"),
    "Out-Null": cmdlet(SHELL + "System.Management.Automation/FormatAndOutput/out-console/OutConsole.cs"),
    "Get-Module": cmdlet(
        SHELL + "System.Management.Automation/engine/Modules/GetModuleCommand.cs", takes="Name ListAvailable",
    ),
    "Import-Module": cmdlet(
        SHELL + "System.Management.Automation/engine/Modules/ImportModuleCommand.cs", takes="Name",
    ),
    "ConvertTo-SecureString": cmdlet(
        SHELL + "Microsoft.PowerShell.Security/security/SecureStringCommands.cs", takes="String AsPlainText Force",
    ),
    "Disable-AzContextAutosave": cmdlet(
        ACCOUNTS + "AutoSave/DisableAzureRmContextAutosave.cs", CONTEXT, takes="Scope",
    ),
    "Add-AzEnvironment": cmdlet(
        ACCOUNTS + "Environment/AddAzureRMEnvironment.cs", CONTEXT, takes="Name ARMEndpoint Scope",
    ),
    "Set-AzEnvironment": cmdlet(
        ACCOUNTS + "Environment/SetAzureRMEnvironment.cs", CONTEXT, takes="Name ActiveDirectoryEndpoint Scope",
    ),
    "Update-AzConfig": cmdlet(
        ACCOUNTS + "Config/UpdateConfigCommand.cs",
        ACCOUNTS + "Config/ConfigCommandBase.cs",
        CONFIG + "DisableInstanceDiscoveryConfig.cs",
        CONFIG + "EnableDataCollectionConfig.cs",
        takes="Scope DisableInstanceDiscovery EnableDataCollection",
    ),
    "Connect-AzAccount": cmdlet(
        ACCOUNTS + "Account/ConnectAzureRmAccount.cs", CONTEXT,
        sets=(
            "Environment Tenant Subscription Scope UseDeviceAuthentication",
            "Environment Tenant Subscription Scope ServicePrincipal Credential",
        ),
    ),
    "Connect-AzlanAccount": cmdlet(
        "the script itself", sets=("UseDeviceAuthentication", "Interactive"),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Only its being PEM counts."""
    path = tmp_path_factory.mktemp("it's") / "ca.pem"
    path.write_text(ssl.DER_cert_to_PEM_cert(b"a certificate" * 20))
    return path


def parsed(text: str) -> Node:
    root = PARSER.parse(text.encode()).root_node
    wrong = [node for node in below(root) if node.type == "ERROR" or node.is_missing]
    assert not wrong, [(node.start_point, node.text) for node in wrong]
    return root


def below(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from below(child)


def told(node: Node) -> str:
    assert node.text is not None
    return node.text.decode()


def hashes(root: Node) -> dict[str, set[str]]:
    """`$name = @{…}` → the keys, for what is splatted."""
    found = {}
    for node in below(root):
        if node.type == "assignment_expression" and (match := re.match(r"\$(\w+)\s*=\s*@\{", told(node))):
            keys = [told(entry.children[0]) for entry in below(node) if entry.type == "hash_entry"]
            found[match[1]] = set(keys)
    return found


def calls(root: Node) -> Iterator[tuple[str, set[str]]]:
    """Every cmdlet that is called, with the names of its parameters."""
    splatted = hashes(root)
    for node in below(root):
        name = next((told(child) for child in node.children if child.type == "command_name"), None)
        if node.type != "command" or name is None:
            continue
        elements = [e for child in node.children if child.type == "command_elements" for e in child.children]
        taken = {told(element).removeprefix("-") for element in elements if element.type == "command_parameter"}
        for element in elements:
            if splat := re.fullmatch(r"@(\w+)", told(element)):
                taken |= splatted[splat[1]]
        yield name, taken


@pytest.mark.parametrize("connect", CONNECTIONS)
def test_it_is_powershell_and_calls_what_there_is(authority: Path, connect: Connect) -> None:
    called = list(calls(parsed(script(VARIABLES, ENDPOINT, authority, connect))))
    for name, taken in called:
        assert any(taken <= known | COMMON for known in CMDLETS[name].sets), (name, taken, CMDLETS[name].sources)
    assert {name for name, _ in called} >= CMDLETS.keys() - {"Connect-AzlanAccount"}


@pytest.mark.parametrize(
    ("connect", "last"),
    [
        ("service-principal", [("Connect-AzlanAccount", set())]),
        ("device-code", [("Connect-AzlanAccount", {"UseDeviceAuthentication"})]),
        ("interactive", [("Connect-AzlanAccount", {"Interactive"})]),
        ("none", []),
    ],
)
def test_it_connects_in_the_way_asked_for(authority: Path, connect: Connect, last: list[tuple[str, set[str]]]) -> None:
    called = list(calls(parsed(script(VARIABLES, ENDPOINT, authority, connect))))
    assert [call for call in called if call[0] == "Connect-AzlanAccount"] == last
    ways = [taken for name, taken in called if name == "Connect-AzAccount"]
    where = {"Environment", "Tenant", "Subscription", "Scope"}
    assert ways == [where | {"UseDeviceAuthentication"}, where, where | {"ServicePrincipal", "Credential"}]


def test_it_leaves_nothing_behind_and_may_run_twice(authority: Path) -> None:
    text = script(VARIABLES, ENDPOINT, authority, "service-principal")
    scoped = {
        "Add-AzEnvironment",
        "Set-AzEnvironment",
        "Disable-AzContextAutosave",
        "Update-AzConfig",
        "Connect-AzAccount",
    }
    for name, taken in calls(parsed(text)):
        assert name not in scoped or "Scope" in taken, name  # else it is for the user, and saved
    assert {"Process"} == set(re.findall(r"Scope(?: = '| )(\w+)", re.sub(r"throw '[^']+'", "", text)))
    autosave = text.index("$env:Azure_Profile_Autosave = 'false'")
    assert autosave < text.index("Import-Module")
    assert text.count(quoted(SECRET)) == text.count(SECRET[:6]) == 1  # in $env:, nowhere else
    types = re.findall(r"if \(-not \('([\w.]+)' -as \[type\]\)\) \{\s+Add-Type", text)
    assert len(types) == text.count("Add-Type") == 2  # a process can define a type once


def test_windows_keeps_its_path_and_is_given_no_file_of_linux(authority: Path) -> None:
    text = script(VARIABLES | {"PATH": "/opt/az/bin:/bin"}, ENDPOINT, authority, "none")
    before, _, inside = text.partition("-not $IsWindows) {\n")
    for name, value in (VARIABLES | {"PATH": "/opt/az/bin:/bin"}).items():
        line = f"$env:{name} = {quoted(value)}\n"
        assert (line in before, line in inside.partition("}")[0]) == (value[0] != "/", value[0] == "/")


def test_the_certificate_of_windows_powershell_is_the_clouds(authority: Path) -> None:
    text = script(VARIABLES, ENDPOINT, authority, "none")
    inside = re.search(r"FromBase64String\('([^']+)'\)", text)
    assert inside is not None
    assert base64.b64decode(inside[1]) == ssl.PEM_cert_to_DER_cert(authority.read_text())
    assert quoted(str(authority)) in text


def test_the_client_of_az_accounts_is_known() -> None:
    """Constants.PowerShellClientId, src/Accounts/Authenticators/Constants.cs."""
    assert "1950a258-227b-4e31-a9cf-717495945fc2" in PUBLIC_CLIENTS


def literal(text: str) -> tuple[str, str]:
    """What a single-quoted literal at the beginning of a text holds, and what follows it: two quotes of any of the five
    kinds stand for the second of them, one ends it."""
    quotes = "'\u2018\u2019\u201a\u201b"
    assert text[0] in quotes
    held, at = "", 1
    while True:
        if text[at] in quotes:
            if text[at + 1 : at + 2] not in tuple(quotes):
                return held, text[at + 1 :]
            at += 1
        held += text[at]
        at += 1


@given(value=TEXT)
@settings(max_examples=200, deadline=None)
def test_whatever_is_quoted_is_read_back(value: str) -> None:
    assert literal(quoted(value)) == (value, "")


@given(values=st.lists(TEXT, min_size=1, max_size=4))
@settings(max_examples=100, deadline=None)
def test_assignments_are_assignments_whatever_they_hold(values: list[str]) -> None:
    text = assignments({f"AZLAN_{number}": value for number, value in enumerate(values)})
    for number, value in enumerate(values):
        name, equals = f"$env:AZLAN_{number}", " = "
        assert text.startswith(name + equals)
        held, text = literal(text[len(name + equals) :])
        assert held == value
        text = text.removeprefix("\n")
    assert text == ""


@given(value=st.text("ab $`'\"(){};#@&|<>\n\\", max_size=20))
@settings(max_examples=100, deadline=None)
def test_the_grammar_sees_one_string(value: str) -> None:
    """As far as the grammar knows PowerShell's quotes: it has the ASCII one alone."""
    root = parsed(f"$env:X = {quoted(value)}\n")
    strings = [told(node) for node in below(root) if node.type == "string_literal"]
    assert strings == [quoted(value)]
    assert not [node for node in below(root) if node.type == "command"]


def test_env_prints_it(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served.start()
    monkeypatch.setattr("azlan.commands.azure_cli.find_az", lambda: None)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    state = ["--state", str(served.config.state)]
    result = CliRunner().invoke(cli, ["env", "pwsh", "--connect", "device-code", *state])
    assert (result.exit_code, result.stderr) == (0, "")
    parsed(result.stdout)
    assert result.stdout.endswith("Connect-AzlanAccount -UseDeviceAuthentication\n")
    assert f"$endpoint = {quoted(f'{served.config.endpoint}/')}\n" in result.stdout
    refused = CliRunner().invoke(cli, ["env", "pwsh", "--connect", "somehow", *state])
    assert isinstance(refused.exception, CommandError)
    assert "service-principal, device-code, interactive, none" in refused.exception.cure
    assert refused.stdout == ""
