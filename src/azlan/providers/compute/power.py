"""What is done to a running VM: start, stop, deallocate, restart and their like, and commands run inside.

Follows Microsoft.Compute's VirtualMachines_Start, _PowerOff, _Deallocate, _Restart, _RunCommand.
"""

from __future__ import annotations

import base64
import re
import shlex
from collections.abc import Callable
from typing import Any

from azlan.arm.resource import Accepted, Action, ActionContext, Json, Later, Runtime, Write
from azlan.base.errors import ArmError
from azlan.providers.compute.instance_view import instance_view, is_running, power_state
from azlan.providers.compute.sizes import sizes

_OUTPUT_LIMIT = 4096
_COMMAND_TIMEOUT = 90 * 60.0
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


async def _start(context: ActionContext) -> Accepted:
    if context.row.state.get("generalized"):
        # Azure does not start one, either; words unconfirmed.
        raise ArmError(
            409, "OperationNotAllowed", f"Cannot start VM '{context.id.name}' because it has been generalized."
        )
    return Accepted(await context.change(start))


def start(write: Write) -> None:
    """Ask for a running guest; one that is down is booted again, also where it powered itself off."""
    row = write.get(write.id.key)
    status = write.status(write.id.key)
    if row is not None and power_state(row, status) in ("running", "starting"):
        return
    write.state["power"] = "running"
    write.state["boot"] = int(write.state.get("boot", 0)) + 1


async def _power_off(context: ActionContext) -> Accepted:
    def off(write: Write) -> None:
        if write.state.get("power") != "deallocated":
            write.state["power"] = "stopped"

    return Accepted(await context.change(off))


async def _deallocate(context: ActionContext) -> Accepted:
    def deallocate(write: Write) -> None:
        write.state["power"] = "deallocated"

    return Accepted(await context.change(deallocate))


async def _restart(context: ActionContext) -> Accepted:
    if context.row.state.get("power") == "deallocated":
        raise ArmError(
            409,
            "OperationNotAllowed",
            f"Cannot restart VM '{context.id.name}' because it is deallocated. Start the VM instead.",
        )

    def restart(write: Write) -> None:
        write.state["power"] = "running"
        write.state["boot"] = int(write.state.get("boot", 0)) + 1

    return Accepted(await context.change(restart))


async def _redeploy(context: ActionContext) -> Accepted:
    def redeploy(write: Write) -> None:
        if write.state.get("power") == "running":
            write.state["boot"] = int(write.state.get("boot", 0)) + 1

    return Accepted(await context.change(redeploy))


async def _reapply(context: ActionContext) -> Accepted:
    return Accepted(await context.change(lambda write: None))


async def _generalize(context: ActionContext) -> None:
    """Mark the VM as one that images are made of: it does not start again."""
    if context.row.state.get("power") == "running":
        raise ArmError(
            409,
            "OperationNotAllowed",
            f"Operation 'generalize' is not allowed on VM '{context.id.name}' since the VM is running. Power it off first.",
        )  # unconfirmed wording

    def generalize(write: Write) -> None:
        write.state["generalized"] = True

    await context.change(generalize)


def _refused(what: str) -> Callable[[ActionContext], Any]:
    async def refuse(context: ActionContext) -> None:
        raise ArmError(
            409,
            "OperationNotAllowed",
            f"Operation '{what}' is not served here: VM '{context.id.name}' cannot be made an image.",
        )

    return refuse


async def _instance_view(context: ActionContext) -> Json:
    return instance_view(context.row, context)


async def _vm_sizes(_: ActionContext) -> Json:
    return {"value": [size.document for size in sizes()]}


# -- commands ---------------------------------------------------------------------------------------------------------


async def _run_command(context: ActionContext) -> Later:
    body = context.body if isinstance(context.body, dict) else {}
    command = str(body.get("commandId") or "")
    if not command:
        raise ArmError(400, "InvalidParameter", "Required parameter 'commandId' is missing (null).", target="commandId")
    if command.lower() not in ("runshellscript", "ifconfig"):
        raise ArmError(404, "NotFound", f"The command '{command}' was not found for a Linux virtual machine.")
    if not is_running(context.row, context.status(context.row.key)):
        raise ArmError(409, "OperationNotAllowed", "Cannot modify extensions in the VM when the VM is not running.")
    lines = body.get("script") or []
    script = "\n".join(str(line) for line in lines) if command.lower() == "runshellscript" else "ip addr"
    wrapped = wrap_script(script, body.get("parameters") or [])
    return Later(_run(context.runtime, f"machine:{context.row.key}", wrapped))


def wrap_script(script: str, parameters: list[Any]) -> str:
    """A shell text that runs `script` as a file of its own, so that its first line may name an interpreter; parameters
    are its arguments, and variables of their names."""
    values = [str(parameter.get("value", "")) for parameter in parameters]
    names = [str(parameter.get("name", "")) for parameter in parameters]
    variables = [
        f"{name}={shlex.quote(value)}" for name, value in zip(names, values, strict=True) if _NAME.fullmatch(name)
    ]
    arguments = " ".join(shlex.quote(value) for value in values)
    encoded = base64.b64encode(script.encode()).decode()
    return (
        'f="$(mktemp /tmp/run-command.XXXXXX)" || exit 1\n'
        f'printf %s {encoded} | base64 -d > "$f" && chmod 700 "$f" || exit 1\n'
        'case "$(head -c 2 "$f")" in \'#!\') set -- ;; *) set -- /bin/sh ;; esac\n'
        f'env {" ".join(variables)} "$@" "$f" {arguments}\n'
        's=$?\nrm -f "$f"\nexit $s\n'
    )


async def _run(runtime: Runtime, part: str, script: str) -> Json:
    try:
        result = await runtime.machines.run(part, script, _COMMAND_TIMEOUT)
    except LookupError as error:
        words = f"Cannot modify extensions in the VM when the VM is not running. {error}"
        raise ArmError(409, "OperationNotAllowed", words.rstrip()) from error
    except TimeoutError as error:
        raise ArmError(
            409,
            "VMExtensionProvisioningTimeout",
            "Provisioning of VM extension RunCommandLinux has timed out. Extension provisioning has taken too long to complete.",
        ) from error
    head = (
        "Enable succeeded: "
        if result.exit_status == 0
        else (f"Enable failed: failed to execute command: command terminated with exit status={result.exit_status}")
    )
    message = f"{head}\n[stdout]\n{_tail(result.stdout)}\n[stderr]\n{_tail(result.stderr)}\n"
    return {
        "value": [
            {
                "code": "ProvisioningState/succeeded",
                "level": "Info",
                "displayStatus": "Provisioning succeeded",
                "message": message,
            }
        ]
    }


def _tail(text: str) -> str:
    """The last 4,096 bytes, as Azure keeps them."""
    data = text.encode()
    return text if len(data) <= _OUTPUT_LIMIT else data[-_OUTPUT_LIMIT:].decode(errors="ignore")


ACTIONS = {
    "start": Action(_start),
    "powerOff": Action(_power_off),
    "deallocate": Action(_deallocate),
    "restart": Action(_restart),
    "redeploy": Action(_redeploy),
    "reapply": Action(_reapply),
    "generalize": Action(_generalize),
    "capture": Action(_refused("capture")),
    "runCommand": Action(_run_command),
    "instanceView": Action(_instance_view, method="GET"),
    "vmSizes": Action(_vm_sizes, method="GET"),
}
