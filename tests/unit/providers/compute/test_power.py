"""Power actions as facts, and commands run in guests."""

from __future__ import annotations

import asyncio
import os
import subprocess
from typing import Any

import pytest

from azlan.contract.machine import CommandResult
from azlan.providers.compute.power import wrap_script
from unit.providers.azure import COMPUTE, Azure, azure

VM = "Microsoft.Compute/virtualMachines/vm-1"


def state(cloud: Azure) -> tuple[str, int]:
    machine = cloud.machine("vm-1")
    assert machine is not None
    return machine.power, machine.boot


async def test_stopping_and_starting() -> None:
    async with azure() as cloud:
        await cloud.network()
        await cloud.vm("vm-1")
        cloud.seen("vm-1", "running")
        answer = await cloud.call("POST", f"{VM}/powerOff?skipShutdown=false")
        assert answer.status_code == 202
        assert "azure-asyncoperation" in answer.headers
        assert state(cloud) == ("stopped", 0)
        cloud.seen("vm-1", "stopped")
        await cloud.call("POST", f"{VM}/start")
        assert state(cloud) == ("running", 1)
        await cloud.call("POST", f"{VM}/deallocate")
        assert state(cloud) == ("deallocated", 1)
        await cloud.call("POST", f"{VM}/powerOff")
        assert state(cloud) == ("deallocated", 1)
        await cloud.call("POST", f"{VM}/start")
        assert state(cloud) == ("running", 2)


async def test_starting_a_running_vm_changes_nothing() -> None:
    async with azure() as cloud:
        await cloud.network()
        await cloud.vm("vm-1")
        cloud.seen("vm-1", "running")
        assert (await cloud.call("POST", f"{VM}/start")).status_code == 202
        assert state(cloud) == ("running", 0)


async def test_starting_a_vm_that_powered_itself_off() -> None:
    async with azure() as cloud:
        await cloud.network()
        await cloud.vm("vm-1")
        cloud.seen("vm-1", "stopped")
        await cloud.call("POST", f"{VM}/start")
        assert state(cloud) == ("running", 1)


async def test_restarting() -> None:
    async with azure() as cloud:
        await cloud.network()
        await cloud.vm("vm-1")
        await cloud.call("POST", f"{VM}/restart")
        assert state(cloud) == ("running", 1)
        await cloud.call("POST", f"{VM}/redeploy")
        assert state(cloud) == ("running", 2)
        await cloud.call("POST", f"{VM}/reapply")
        assert state(cloud) == ("running", 2)
        await cloud.call("POST", f"{VM}/deallocate")
        status, code, _ = await cloud.error("POST", f"{VM}/restart")
        assert (status, code) == (409, "OperationNotAllowed")


async def test_a_generalized_machine_does_not_start_again() -> None:
    async with azure() as cloud:
        await cloud.network()
        await cloud.vm("vm-1")
        assert (await cloud.error("POST", f"{VM}/generalize"))[:2] == (409, "OperationNotAllowed")
        await cloud.call("POST", f"{VM}/deallocate")
        answer = await cloud.call("POST", f"{VM}/generalize")
        assert (answer.status_code, answer.content) == (200, b"")
        codes = [status["code"] for status in (await cloud.ok("GET", f"{VM}/instanceView"))["statuses"]]
        assert codes[1:] == ["PowerState/deallocated", "OSState/generalized"]
        assert (await cloud.error("POST", f"{VM}/start"))[:2] == (409, "OperationNotAllowed")


async def test_an_image_is_not_made() -> None:
    async with azure() as cloud:
        await cloud.network()
        await cloud.vm("vm-1")
        status, code, _ = await cloud.error("POST", f"{VM}/capture")
        assert (status, code) == (409, "OperationNotAllowed")


async def test_a_vms_sizes_and_instance_view() -> None:
    async with azure() as cloud:
        await cloud.network()
        await cloud.vm("vm-1")
        sizes = await cloud.ok("GET", f"{VM}/vmSizes")
        assert any(size["name"] == "Standard_B1s" for size in sizes["value"])
        view = await cloud.ok("GET", f"{VM}/instanceView")
        assert view["statuses"][0]["code"] == "ProvisioningState/succeeded"


async def polled(cloud: Azure, answer: Any) -> Any:
    assert answer.status_code == 202, answer.text
    location = answer.headers["location"].removeprefix("https://localhost:8443")
    for _ in range(500):
        got = await cloud.call("GET", location)
        if got.status_code != 202:
            return got
        await asyncio.sleep(0.002)
    raise AssertionError("never ended")


async def test_running_a_command() -> None:
    async with azure() as cloud:
        await cloud.network()
        await cloud.vm("vm-1")
        cloud.seen("vm-1", "running")
        body = {"commandId": "RunShellScript", "script": ["echo hi"], "parameters": []}
        got = await polled(cloud, await cloud.call("POST", f"{VM}/runCommand", body))
        assert got.json() == {
            "value": [
                {
                    "code": "ProvisioningState/succeeded",
                    "level": "Info",
                    "displayStatus": "Provisioning succeeded",
                    "message": "Enable succeeded: \n[stdout]\nhi\n\n[stderr]\n\n",
                }
            ]
        }
        ((machine, _),) = cloud.guests.asked
        assert machine == f"machine:{COMPUTE}/virtualMachines/vm-1".lower()


async def test_a_command_that_fails_and_long_output() -> None:
    async with azure() as cloud:
        await cloud.network()
        await cloud.vm("vm-1")
        cloud.seen("vm-1", "running")
        cloud.guests.answer = CommandResult(exit_status=3, stdout="x" * 5000 + "end", stderr="no")
        got = await polled(
            cloud, await cloud.call("POST", f"{VM}/runCommand", {"commandId": "RunShellScript", "script": []})
        )
        message = got.json()["value"][0]["message"]
        assert message.startswith(
            "Enable failed: failed to execute command: command terminated with exit status=3\n[stdout]\nxxx"
        )
        assert len(message.split("[stdout]\n")[1].split("\n[stderr]")[0]) == 4096


@pytest.mark.parametrize(
    ("error", "code"), [(LookupError("x"), "OperationNotAllowed"), (TimeoutError(), "VMExtensionProvisioningTimeout")]
)
async def test_a_guest_that_is_gone_meanwhile(error: Exception, code: str) -> None:
    async with azure() as cloud:
        await cloud.network()
        await cloud.vm("vm-1")
        cloud.seen("vm-1", "running")
        cloud.guests.answer = error
        got = await polled(cloud, await cloud.call("POST", f"{VM}/runCommand", {"commandId": "RunShellScript"}))
        assert got.json()["error"]["code"] == code


async def test_commands_that_are_refused() -> None:
    async with azure() as cloud:
        await cloud.network()
        await cloud.vm("vm-1")
        cloud.seen("vm-1", "stopped")
        path = f"{VM}/runCommand"
        assert (await cloud.error("POST", path, {}))[:2] == (400, "InvalidParameter")
        assert (await cloud.error("POST", path, {"commandId": "RunPowerShellScript"}))[:2] == (404, "NotFound")
        status, code, error = await cloud.error("POST", path, {"commandId": "RunShellScript"})
        assert (status, code) == (409, "OperationNotAllowed")
        assert error["message"] == "Cannot modify extensions in the VM when the VM is not running."


def shell(script: str, *parameters: tuple[str, str]) -> tuple[int, str]:
    """What a wrapped script does in a real shell."""
    text = wrap_script(script, [{"name": name, "value": value} for name, value in parameters])
    done = subprocess.run(
        ["/bin/sh", "-c", text], capture_output=True, text=True, timeout=10, env={"PATH": os.environ["PATH"]}
    )
    return done.returncode, done.stdout + done.stderr


def test_a_wrapped_script_runs_by_the_shell() -> None:
    assert shell("echo 'a b'\nexit 4") == (4, "a b\n")


def test_a_wrapped_script_may_name_its_interpreter() -> None:
    assert shell("#!/usr/bin/env bash\n[[ a == a ]] && echo ${BASH_VERSION:+bash}") == (0, "bash\n")


def test_parameters_are_arguments_and_variables() -> None:
    assert shell('echo "$1|$2|$who"', ("who", "it's; me"), ("arg2", "$(x)")) == (0, "it's; me|$(x)|it's; me\n")
    assert shell('echo "$1"', ("not-a-name", "v")) == (0, "v\n")
