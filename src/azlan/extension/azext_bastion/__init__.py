"""`az network bastion` for a cloud without internet. Same name, arguments and requests as Microsoft's extension, which may
take its place. Runs inside az: imports nothing of Azlan.
"""

from __future__ import annotations

from typing import Any

from azure.cli.core import AzCommandsLoader


class BastionCommandsLoader(AzCommandsLoader):
    """Puts the group's commands into az's table."""

    def __init__(self, cli_ctx: Any = None) -> None:
        from azure.cli.core.commands import CliCommandType

        super().__init__(cli_ctx=cli_ctx, custom_command_type=CliCommandType(operations_tmpl="azext_bastion.native#{}"))

    def load_command_table(self, args: Any) -> Any:
        from azext_bastion import bastion

        for group in (bastion.NetworkBastion,):
            self.command_group_table[group.AZ_NAME] = group(cli_ctx=self.cli_ctx)
        for command in (bastion.Create, bastion.Delete, bastion.List, bastion.Show, bastion.Wait):
            self.command_table[command.AZ_NAME] = command(loader=self)
        with self.command_group("network bastion") as native:
            native.custom_command("ssh", "ssh")
            native.custom_command("tunnel", "tunnel")
        return self.command_table

    def load_arguments(self, command: str) -> None:
        """Those of the native clients; the other commands declare their own."""
        if command not in ("network bastion ssh", "network bastion tunnel"):
            return
        with self.argument_context(command) as context:
            context.argument(
                "bastion_host_name", options_list=["--name", "-n"], help="Name of the Bastion host.", id_part="name"
            )
            context.argument(
                "target_resource_id", options_list=["--target-resource-id"], help="Resource ID of the virtual machine."
            )
            context.argument(
                "target_ip_address",
                options_list=["--target-ip-address"],
                help="IP address of the target, where the Bastion host has IP-based connections enabled.",
            )
            context.argument(
                "resource_port", options_list=["--resource-port"], type=int, help="TCP port of the virtual machine."
            )
        if command == "network bastion tunnel":
            with self.argument_context(command) as context:
                context.argument("port", options_list=["--port"], type=int, help="Local TCP port to listen on.")
                context.argument(
                    "timeout", options_list=["--timeout"], type=int, help="Seconds after which the tunnel is closed."
                )
            return
        with self.argument_context(command) as context:
            context.argument("auth_type", options_list=["--auth-type"], help="How to log in: password or ssh-key.")
            context.argument("username", options_list=["--username"], help="User name for the SSH connection.")
            context.argument("ssh_key", options_list=["--ssh-key"], help="File of the private SSH key.")
            context.positional("ssh_args", nargs="*", help="Further arguments for OpenSSH, behind `--`.")


COMMAND_LOADER_CLS = BastionCommandsLoader
