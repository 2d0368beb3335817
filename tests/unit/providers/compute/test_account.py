"""The rules of osProfile: names, passwords, keys and custom data, with Azure's errors."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from azlan.providers.compute.account import RESERVED_NAMES, login_of
from unit.providers.azure import azure, vm_body

VM = "Microsoft.Compute/virtualMachines/vm-1"
PASSWORD = "Passw0rd!23456"


def public_key(kind: str = "ssh-ed25519", inside: str | None = None) -> str:
    name = (inside or kind).encode()
    return f"{kind} {base64.b64encode(len(name).to_bytes(4, 'big') + name + bytes(36)).decode()} me@here"


def keys(*data: str, path: str | None = None, disabled: bool = True) -> dict[str, Any]:
    listed = [{"keyData": text, **({"path": path} if path else {})} for text in data]
    return {"disablePasswordAuthentication": disabled, "ssh": {"publicKeys": listed}}


async def outcome(profile: dict[str, Any]) -> tuple[int, str, str, str | None]:
    async with azure() as cloud:
        await cloud.network()
        status, code, error = await cloud.error("PUT", VM, vm_body(await cloud.nic("n"), osProfile=profile))
        return status, code, error["message"], error.get("target")


@pytest.mark.parametrize(
    "name", ["admin", "root", "Administrator", "1", "user name", "a@b", "Upper", "-x", "dot.", "x" * 65]
)
async def test_user_names_that_are_refused(name: str) -> None:
    got = await outcome({"adminUsername": name, "adminPassword": PASSWORD})
    assert got == (400, "InvalidParameter", "The Admin Username specified is not allowed.", "adminUsername")


def test_reserved_names_are_those_that_az_knows() -> None:
    assert {"admin", "root", "guest", "test1", "user5", "support_388945a0"} <= RESERVED_NAMES
    assert not {"azureuser", "david", "john"} & RESERVED_NAMES


@pytest.mark.parametrize(
    ("profile", "message", "target"),
    [
        ({"adminPassword": PASSWORD}, "Required parameter 'adminUsername' is missing (null).", "adminUsername"),
        ({"adminUsername": "azureuser"}, "Required parameter 'adminPassword' is missing (null).", "adminPassword"),
        (
            {"adminUsername": "azureuser", "linuxConfiguration": {"disablePasswordAuthentication": True}},
            "Authentication using either SSH or by user name and password must be enabled in Linux profile.",
            "linuxConfiguration",
        ),
        (
            {"adminUsername": "azureuser", "linuxConfiguration": keys(public_key(), path="/root/.ssh/authorized_keys")},
            "Destination path for SSH public keys is currently limited to its default value "
            "/home/azureuser/.ssh/authorized_keys  due to a known issue in Linux provisioning agent.",
            "linuxConfiguration.ssh.publicKeys.path",
        ),
        *(
            (
                {"adminUsername": "azureuser", "linuxConfiguration": keys(bad)},
                "The value of parameter linuxConfiguration.ssh.publicKeys.keyData is invalid.",
                "linuxConfiguration.ssh.publicKeys.keyData",
            )
            for bad in (
                "",
                "ssh-rsa",
                "ssh-rsa %%%",
                "ssh-dss AAAA",
                public_key("ssh-rsa", inside="ssh-dss"),
                public_key() + "\nssh-rsa A",
            )
        ),
        (
            {"adminUsername": "azureuser", "adminPassword": PASSWORD, "customData": "not base64!"},
            "Custom data in OSProfile must be in Base64 encoding and with a maximum length of 87380 characters.",
            "customData",
        ),
        (
            {"adminUsername": "azureuser", "adminPassword": PASSWORD, "computerName": "a_b"},
            "Linux host name cannot exceed 64 characters in length or contain the following characters: "
            "` ~ ! @ # $ % ^ & * ( ) = + _ [ ] { } \\ | ; : ' \" , < > / ?.",
            "computerName",
        ),
        (
            {"adminUsername": "azureuser", "adminPassword": PASSWORD, "windowsConfiguration": {}},
            "The property 'windowsConfiguration' is not valid for a Linux image.",
            "windowsConfiguration",
        ),
    ],
)
async def test_profiles_that_are_refused(profile: dict[str, Any], message: str, target: str) -> None:
    assert await outcome(profile) == (400, "InvalidParameter", message, target)


async def test_a_weak_password() -> None:
    status, code, message, target = await outcome({"adminUsername": "azureuser", "adminPassword": "weak"})
    assert (status, code, target) == (400, "InvalidParameter", "adminPassword")
    assert message == (
        "The supplied password must be between 6-72 characters long and must satisfy at least 3 of password complexity "
        "requirements from the following:\r\n1) Contains an uppercase character\r\n2) Contains a lowercase character\r\n"
        "3) Contains a numeric digit\r\n4) Contains a special character\r\n5) Control characters are not allowed"
    )


async def test_a_key_alone() -> None:
    async with azure() as cloud:
        await cloud.network()
        key = public_key("ssh-rsa")
        vm = await cloud.vm("vm-1", osProfile={"adminUsername": "azureuser", "linuxConfiguration": keys(key)})
        shown = vm["properties"]["osProfile"]["linuxConfiguration"]
        assert shown["ssh"]["publicKeys"] == [{"keyData": key, "path": "/home/azureuser/.ssh/authorized_keys"}]
        login = login_of(cloud.row(VM).state)
        assert (login.password_hash, login.ssh_keys) == (None, (key,))


async def test_password_and_key() -> None:
    async with azure() as cloud:
        await cloud.network()
        profile = {"adminUsername": "azureuser", "adminPassword": PASSWORD}
        await cloud.vm("vm-1", osProfile={**profile, "linuxConfiguration": keys(public_key(), disabled=False)})
        login = login_of(cloud.row(VM).state)
        assert login.password_hash is not None
        assert len(login.ssh_keys) == 1
