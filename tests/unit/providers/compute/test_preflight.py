"""What a template's virtual machine is refused for before anything is deployed."""

from __future__ import annotations

from typing import Any

import pytest

from azlan.base.ids import parse_id
from azlan.providers.compute.preflight import preflight
from unit.providers.azure import COMPUTE, vm_body

ID = parse_id(f"{COMPUTE}/virtualMachines/m")


def errors(**properties: Any) -> list[tuple[str, str | None]]:
    return [(error.code, error.target) for error in preflight(ID, vm_body("nic", **properties))]


def image(**members: str) -> dict[str, Any]:
    reference = {"publisher": "Canonical", "offer": "ubuntu-24_04-lts", "sku": "server", "version": "latest", **members}
    return {"imageReference": reference}


def test_a_good_machine_passes() -> None:
    assert errors() == []


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"hardwareProfile": {"vmSize": "Standard_Z99"}}, ("InvalidParameter", "vmSize")),
        ({"storageProfile": image(offer="TempleOS")}, ("PlatformImageNotFound", "imageReference")),
        ({"osProfile": {"adminUsername": "root"}}, ("InvalidParameter", "adminUsername")),
        ({"osProfile": {"adminUsername": "me", "adminPassword": "weak"}}, ("InvalidParameter", "adminPassword")),
    ],
)
def test_what_is_refused(properties: dict[str, Any], expected: tuple[str, str]) -> None:
    assert errors(**properties) == [expected]


def test_all_that_is_wrong_is_told_at_once() -> None:
    found = errors(hardwareProfile={"vmSize": "x"}, storageProfile=image(sku="x"), osProfile={"adminUsername": "root"})
    assert [code for code, _ in found] == ["InvalidParameter", "PlatformImageNotFound", "InvalidParameter"]


@pytest.mark.parametrize("body", [{}, {"properties": None}, {"properties": {"hardwareProfile": ["odd"]}}])
def test_what_is_not_there_or_odd_is_left_to_the_put(body: dict[str, Any]) -> None:
    assert list(preflight(ID, body)) == []


def test_expressions_pass() -> None:
    assert errors(hardwareProfile={"vmSize": "[reference('x').size]"}) == []
