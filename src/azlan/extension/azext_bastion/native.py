"""`az network bastion ssh | tunnel`: native clients through a Bastion host, without a public IP on the machine.

Arguments and messages are those of Microsoft's extension; the endpoints are the ones that it speaks to. Runs inside az:
imports nothing of Azlan.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from typing import Any

from azure.cli.core.azclierror import (
    ClientRequestError,
    InvalidArgumentValueError,
    RequiredArgumentMissingError,
    UnrecognizedArgumentError,
)
from azure.mgmt.core.tools import is_valid_resource_id
from knack.log import get_logger

from azext_bastion.bastion import Show
from azext_bastion.tunnel import TunnelServer

logger = get_logger(__name__)

NATIVE_SKUS = ("Standard", "Premium")
IP_CONNECT_PORTS = (22, 3389)


def tunnel(
    cmd: Any,
    resource_group_name: str,
    bastion_host_name: str,
    resource_port: int,
    port: int,
    target_resource_id: str | None = None,
    target_ip_address: str | None = None,
    timeout: int | None = None,
) -> None:
    """Listen on a local TCP port and carry each connection to a port of the machine, until Ctrl + C."""
    server = _server(
        cmd, resource_group_name, bastion_host_name, target_resource_id, target_ip_address, resource_port, port
    )
    server.start()
    logger.warning("Opening tunnel on port: %s", server.port)
    logger.warning("Tunnel is ready, connect on port %s", server.port)
    logger.warning("Ctrl + C to close")
    ends = time.monotonic() + int(timeout) if timeout else None
    try:
        while ends is None or time.monotonic() < ends:
            time.sleep(0.2)
    except KeyboardInterrupt:
        logger.info("Ctrl + C received. Clean up and then exit.")
    finally:
        server.close()


def ssh(
    cmd: Any,
    resource_group_name: str,
    bastion_host_name: str,
    auth_type: str,
    target_resource_id: str | None = None,
    target_ip_address: str | None = None,
    resource_port: int = 22,
    username: str | None = None,
    ssh_key: str | None = None,
    ssh_args: list[str] | None = None,
) -> None:
    """Log in to the machine with the OpenSSH client of this computer."""
    credentials = _credentials(auth_type, username, ssh_key)
    program = shutil.which("ssh")
    if program is None:
        raise UnrecognizedArgumentError("ssh not found in path. Is the OpenSSH client installed?")
    server = _server(
        cmd, resource_group_name, bastion_host_name, target_resource_id, target_ip_address, resource_port, 0
    )
    server.start()
    # The key is the machine's own by the cloud's word, and the local TCP port is another one each time.
    options = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=Error"]
    command = [program, *credentials, "-p", str(server.port), *options, *(ssh_args or [])]
    logger.debug("Running ssh command %s", " ".join(command))
    try:
        status = subprocess.call(command)
    finally:
        server.close()
    if server.error:
        raise ClientRequestError(server.error)
    if status:
        sys.exit(status)


def _credentials(auth_type: str, username: str | None, key: str | None) -> list[str]:
    """What ssh is told of who logs in."""
    kind = auth_type.lower()
    if kind == "password":
        if username is None:
            raise RequiredArgumentMissingError("Please enter username with --username.")
        return [f"{username}@localhost"]
    if kind == "ssh-key":
        if username is None or key is None:
            raise RequiredArgumentMissingError("Please enter username --username and ssh cert location --ssh-key.")
        return [f"{username}@localhost", "-i", key]
    if kind == "aad":
        raise UnrecognizedArgumentError("The machines of this cloud have no AAD login. Use password or ssh-key.")
    raise UnrecognizedArgumentError("Unknown auth type. Use one of password, aad or ssh-key.")


def _server(
    cmd: Any,
    group: str,
    name: str,
    target: str | None,
    address: str | None,
    resource_port: int,
    port: int,
) -> TunnelServer:
    """A tunnel through the Bastion host, once it was seen to allow one."""
    bastion = Show(cli_ctx=cmd.cli_ctx)(command_args={"resource_group": group, "name": name})
    if bastion["sku"]["name"] not in NATIVE_SKUS or bastion.get("enableTunneling") is not True:
        raise ClientRequestError("Bastion Host SKU must be Standard or Premium and Native Client must be enabled.")
    if address:
        if bastion.get("enableIpConnect") is not True:
            raise InvalidArgumentValueError(
                "`--target-ip-address` flag cannot be used when IpConnect is not enabled. "
                "Please use --target-resource-id flag instead."
            )
        if int(resource_port) not in IP_CONNECT_PORTS:
            raise UnrecognizedArgumentError(
                "Custom ports are not allowed. Allowed ports for Tunnel with IP connect is 22, 3389."
            )
        target = f"{bastion['id'].partition('/providers/')[0]}/providers/Microsoft.Network/bh-hostConnect/{address}"
    if not target or not is_valid_resource_id(target):
        raise InvalidArgumentValueError(
            "Please enter a valid resource ID. If this is not working, try opening the JSON view of your resource (in the "
            "Overview tab), and copying the full resource ID."
        )
    return TunnelServer(cmd.cli_ctx, bastion["dnsName"], target, int(resource_port), int(port or 0), address)
