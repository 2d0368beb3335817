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

        super().__init__(
            cli_ctx=cli_ctx, custom_command_type=CliCommandType(operations_tmpl="azext_bastion.bastion#{}")
        )

    def load_command_table(self, args: Any) -> Any:
        from azext_bastion import bastion

        for group in (bastion.NetworkBastion,):
            self.command_group_table[group.AZ_NAME] = group(cli_ctx=self.cli_ctx)
        for command in (bastion.Create, bastion.Delete, bastion.List, bastion.Show, bastion.Wait):
            self.command_table[command.AZ_NAME] = command(loader=self)
        return self.command_table

    def load_arguments(self, command: str) -> None:
        """The commands declare their own."""


COMMAND_LOADER_CLS = BastionCommandsLoader
