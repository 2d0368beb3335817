"""A password is in no answer, no log line and no byte of the store: only its hash is kept, in the state of its machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from api.estate import DEPLOYMENTS, LOCATION, NICS, TEMPLATE, VMS, VNETS, deployment, nic, placed, vm, vnet
from client import ArmClient, ArmFailure
from kit import Cloud, cloud

PASSWORD = "Zq7-unmistakable-Horse"
OTHER = "Wx4-another-unmistakable"
CUSTOM = "I2Nsb3VkLWNvbmZpZyB6cTcK"


async def _network(arm: ArmClient) -> None:
    await arm.put("", {"location": LOCATION})
    await arm.put(f"{VNETS}/v", vnet("10.0.0.0/16", subnets={"s": "10.0.0.0/24"}))
    for name in ("n1", "n2", "n3"):
        await arm.put(f"{NICS}/{name}", placed(arm, nic("v/subnets/s")))


def _template(arm: ArmClient, name: str, nic_name: str, **account: Any) -> dict[str, Any]:
    body = vm(nic_name, profile={"adminPassword": "[parameters('adminPassword')]", **account})
    machine = {"type": VMS, "apiVersion": "2024-07-01", "name": name, **placed(arm, body)}
    return {**TEMPLATE, "parameters": {"adminPassword": {"type": "securestring"}}, "resources": [machine]}


def _bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


async def _answers(made: Cloud, *paths: str) -> str:
    found = [(await made.arm.request("GET", path)).text for path in paths]
    found.append((await made.arm.request("GET", f"{VMS}/m1", query={"$expand": "instanceView,userData"})).text)
    return "".join(found)


async def test_passwords_are_nowhere(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    store = tmp_path / "store"
    store.mkdir()
    async with cloud(tmp_path / "cloud", store=store / "store.db") as made:
        arm = made.arm
        await _network(arm)
        # Put, deployed, deployed and nested, deployed and failed, validated, refused.
        answers = [
            (
                await arm.request(
                    "PUT", f"{VMS}/m1", placed(arm, vm("n1", profile={"adminPassword": PASSWORD, "customData": CUSTOM}))
                )
            ).text
        ]
        given = {"adminPassword": {"value": PASSWORD}}
        await arm.put(f"{DEPLOYMENTS}/d", deployment(_template(arm, "m2", "n2"), parameters=given))
        inner = {
            "type": DEPLOYMENTS,
            "apiVersion": "2024-11-01",
            "name": "inner",
            "properties": {
                "mode": "Incremental",
                "expressionEvaluationOptions": {"scope": "inner"},
                "parameters": {"adminPassword": {"value": "[parameters('adminPassword')]"}},
                "template": _template(arm, "m3", "n3"),
            },
        }
        outer = {**TEMPLATE, "parameters": {"adminPassword": {"type": "securestring"}}, "resources": [inner]}
        await arm.put(f"{DEPLOYMENTS}/outer", deployment(outer, parameters=given))
        with pytest.raises(ArmFailure):
            await arm.put(f"{DEPLOYMENTS}/fails", deployment(_template(arm, "m4", "gone"), parameters=given))
        checked = await arm.request(
            "POST", f"{DEPLOYMENTS}/c/validate", deployment(_template(arm, "m5", "n1"), parameters=given)
        )
        refused = await arm.request("PUT", f"{VMS}/m6", placed(arm, vm("gone", profile={"adminPassword": PASSWORD})))
        answers += [checked.text, refused.text]
        answers.append(await _answers(made, f"{VMS}/m1", VMS, f"{DEPLOYMENTS}/d", f"{DEPLOYMENTS}/fails", DEPLOYMENTS,
                                      f"{DEPLOYMENTS}/d/operations", f"{DEPLOYMENTS}/outer/operations"))  # fmt: skip
        for name in ("m1", "m2", "m3"):
            assert (await arm.get(f"{VMS}/{name}"))["properties"]["provisioningState"] == "Succeeded"
        assert PASSWORD not in "".join(answers)
        assert "$6$" not in "".join(answers), "a hash is shown"
        assert CUSTOM not in "".join(answers)
        while_open = _bytes(tmp_path)
    said = capfd.readouterr()
    for place in (while_open, _bytes(tmp_path), said.out.encode(), said.err.encode()):
        assert PASSWORD.encode() not in place
    assert b"SQLite format 3" in _bytes(store), "the store was looked at"


async def test_machine_knows_its_password_by_hash(fresh: Cloud) -> None:
    from passlib.hash import sha512_crypt

    await _network(fresh.arm)
    await fresh.arm.put(f"{VMS}/m1", placed(fresh.arm, vm("n1", profile={"adminPassword": PASSWORD})))
    given = {"adminPassword": {"value": OTHER}}
    await fresh.arm.put(f"{DEPLOYMENTS}/d", deployment(_template(fresh.arm, "m2", "n2"), parameters=given))
    logins = {
        fact.id.rsplit("/", 1)[-1]: fact.login
        for facts in fresh.process.core.store.facts().by_owner.values()
        for fact in facts
        if type(fact).__name__ == "Machine"
    }
    assert sha512_crypt.verify(PASSWORD, logins["m1"].password_hash)
    assert sha512_crypt.verify(OTHER, logins["m2"].password_hash)
    assert "$6$" not in repr(logins), "a login's repr, which logs may hold, shows no hash"


async def test_deployments_secure_parameters_are_not_kept(fresh: Cloud) -> None:
    await fresh.arm.put("", {"location": LOCATION})
    secret = "value-of-a-secure-parameter"
    template = {
        **TEMPLATE,
        "parameters": {
            "token": {"type": "securestring"},
            "more": {"type": "secureObject"},
            "plain": {"type": "string"},
        },
    }
    given = {"token": {"value": secret}, "more": {"value": {"key": secret}}, "plain": {"value": "shown"}}
    await fresh.arm.put(f"{DEPLOYMENTS}/d", deployment(template, parameters=given))
    document = await fresh.arm.get(f"{DEPLOYMENTS}/d")
    assert document["properties"]["parameters"] == {
        "token": {"type": "SecureString"},
        "more": {"type": "SecureObject"},
        "plain": {"type": "String", "value": "shown"},
    }
    row = fresh.process.core.store.snapshot.rows[document["id"].lower()]
    assert secret not in repr(row)


async def test_secrets_of_nested_deployments_are_never_written(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """At no moment and no depth: as string and as object, given, made of others and by default, used and unused."""
    canary = "Kq8-canary-Falcon"
    store = tmp_path / "store"
    store.mkdir()
    async with cloud(tmp_path / "cloud", store=store / "store.db") as made:
        arm = made.arm
        await _network(arm)
        body = vm("n1", profile={"adminPassword": "[parameters('creds').deep[0].password]", "customData": CUSTOM})
        machine = {"type": VMS, "apiVersion": "2024-07-01", "name": "m1", **placed(arm, body)}
        declared = {
            "creds": {"type": "secureObject"},
            "token": {"type": "securestring"},
            "other": {"type": "securestring", "defaultValue": f"{canary}-default"},
        }
        inner = {**TEMPLATE, "parameters": declared, "resources": [machine]}
        for depth in range(3):
            values = {
                "creds": {"value": "[parameters('creds')]"},
                "token": {"value": f"[concat(parameters('token'), '{depth}')]"},
            }
            nested = {
                "type": DEPLOYMENTS,
                "apiVersion": "2024-11-01",
                "name": f"depth-{depth}",
                "properties": {
                    "mode": "Incremental",
                    "expressionEvaluationOptions": {"scope": "inner"},
                    "parameters": values,
                    "template": inner,
                },
            }
            inner = {**TEMPLATE, "parameters": declared, "resources": [nested]}
        inner["outputs"] = {
            "shown": {"type": "securestring", "value": "[parameters('token')]"},
            "whole": {"type": "secureObject", "value": "[parameters('creds')]"},
        }
        given = {
            "creds": {"value": {"deep": [{"password": f"{canary}-1"}], "unused": f"{canary}-2"}},
            "token": {"value": f"{canary}-3"},
        }
        moments: list[bytes] = []
        made.process.core.store.subscribe(lambda: moments.append(_bytes(store)))
        await arm.put(f"{DEPLOYMENTS}/outer", deployment(inner, parameters=given))
        assert (await arm.get(f"{VMS}/m1"))["properties"]["provisioningState"] == "Succeeded"
        assert any(b"sealed-1." in moment for moment in moments), "plans were looked at while they were carried out"
        answers = [(await arm.request("GET", DEPLOYMENTS)).text]
        for name in ("outer", "depth-0", "depth-1", "depth-2"):
            for path in ("", "/operations"):
                answers.append((await arm.request("GET", f"{DEPLOYMENTS}/{name}{path}")).text)
        exported = await arm.request("POST", f"{DEPLOYMENTS}/outer/exportTemplate")
        answers.append(exported.text)
    said = capfd.readouterr()
    everything = [*moments, _bytes(tmp_path), said.out.encode(), said.err.encode(), "".join(answers).encode()]
    assert not [place[max(0, at - 80) :][:200] for place in everything if (at := place.find(canary.encode())) >= 0]
    assert {path.name: oct(path.stat().st_mode & 0o777) for path in store.glob("*.key")} == {"sealing.key": "0o600"}
