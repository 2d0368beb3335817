"""The `azlan` command: its sub-commands, their options and what they print. The work is in the modules beside this one."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from azlan import __version__
from azlan.commands.clouds import CloudClient, CommandError, advice, existing, state_of
from azlan.config import Config, default_state

cli = typer.Typer(
    name="azlan",
    help="Azure virtual networking on your own machine.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
users = typer.Typer(help="Who may log in: add, list, revoke, remove.", no_args_is_help=True)
cli.add_typer(users, name="user")

StateDir = Annotated[
    Path | None,
    typer.Option("--state", envvar="AZLAN_STATE", help="State folder of the cloud.", show_default="/var/lib/azlan"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def main() -> None:
    """Run the command; an error ends it with its cure on standard error and exit status 1."""
    from azlan.commands.images import images

    cli.add_typer(images, name="images")
    try:
        cli()
    except CommandError as error:
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        console.print(f"azlan: {error.message}", style="red", markup=False)
        if error.cure:
            console.print(advice(error.cure), markup=False)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


@cli.command()
def up(
    detach: Annotated[bool, typer.Option("-d", "--detach", help="Return once the cloud is up.")] = False,
    engine: Annotated[
        str | None, typer.Option(help="bpf: real packets; model: verdicts only.", show_default="bpf")
    ] = None,
    machines: Annotated[
        str | None,
        typer.Option(help="containers: real machines; simulated: power states only.", show_default="containers"),
    ] = None,
    port: Annotated[int | None, typer.Option(help="TCP port on loopback.", show_default="8443")] = None,
    egress: Annotated[
        str | None, typer.Option(help="internet, or lan to reach private ranges, too.", show_default="internet")
    ] = None,
    state: StateDir = None,
) -> None:
    """Start the cloud, or find it up. Without -d its logs follow, and Ctrl-C stops it."""
    from azlan.commands import lifecycle

    # A cloud of the computer is not picked up here: `up` as a user is about the user's own.
    folder = state_of(state) if state is not None else default_state()
    options = {"engine": engine, "machines": machines, "port": port, "egress": egress}
    config = lifecycle.prepare(folder, options)
    _with_spinner("starting", lambda say: lifecycle.up(config, say))
    _welcome(config)
    if not detach:
        _foreground(config)


@cli.command()
def restart(state: StateDir = None) -> None:
    """Start the cloud's processes anew, after an upgrade say. Machines, their flows and Bastion sessions go on."""
    from azlan.commands import lifecycle

    config = existing(state)
    _with_spinner("restarting", lambda say: lifecycle.restart(config, say))
    typer.echo(f"Azlan {__version__} is up: {config.endpoint}")


@cli.command()
def down(state: StateDir = None) -> None:
    """Stop processes and machines. The state stays: `azlan up` brings the same cloud back."""
    from azlan.commands import lifecycle

    config = existing(state)
    _with_spinner("stopping", lambda say: lifecycle.down(config, say))
    typer.echo(f"Stopped. What was in the cloud stays in {config.state}.")


@cli.command()
def reset(
    state: StateDir = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Stop the cloud and remove it with everything in it."""
    from azlan.commands import lifecycle

    config = existing(state)
    if not yes and not typer.confirm(f"Remove the cloud in {config.state} and everything in it?"):
        raise CommandError("Nothing was removed.")
    _with_spinner("removing", lambda say: lifecycle.reset(config, say))
    typer.echo(f"The cloud in {config.state} is gone.")


@cli.command()
def status(state: StateDir = None, as_json: AsJson = False) -> None:
    """Show processes, endpoint, engine, machines and revisions. Exit status 3 where the cloud is not up."""
    config = existing(state)
    document = _status(config)
    if as_json:
        typer.echo(json.dumps(document, indent=2))
    else:
        _print_status(document)
    if not document["up"]:
        raise typer.Exit(3)


@cli.command()
def doctor(
    engine: Annotated[str | None, typer.Option(help="What is wanted: bpf or model.", show_default="bpf")] = None,
    machines: Annotated[
        str | None, typer.Option(help="What is wanted: containers or simulated.", show_default="containers")
    ] = None,
    port: Annotated[int | None, typer.Option(help="TCP port.", show_default="8443")] = None,
    state: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Check what this computer has to offer. Exit status 1 where something is missing."""
    from dataclasses import asdict, replace

    from azlan.commands.doctor import examine
    from azlan.commands.findings import Wanted, of_config, packages, passed

    try:
        config: Config | None = existing(state)
    except CommandError:
        config = None
    wanted: Any = Wanted(state=state_of(state)) if config is None else of_config(config)
    given = {"engine": engine, "machines": machines, "port": port}
    wanted = replace(wanted, **{name: value for name, value in given.items() if value is not None})
    checks = examine(wanted)
    if as_json:
        typer.echo(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        table = Table("", "Check", "Found", "What to do", box=None)
        signs = {"ok": "[green]✓[/]", "warning": "[yellow]![/]", "failed": "[red]✗[/]"}
        for check in checks:
            table.add_row(signs[check.verdict], check.name, check.found, check.cure)
        Console().print(table)
        if brought := packages(checks):
            typer.echo(f"\nDebian and Ubuntu: sudo apt-get install {' '.join(brought)}")
    if not passed(checks):
        raise typer.Exit(1)


@cli.command()
def logs(
    process: Annotated[
        str | None, typer.Argument(help="supervisor, control or fabric; all where none is named.")
    ] = None,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on as new lines come.")] = False,
    lines: Annotated[int, typer.Option("-n", "--lines", help="How many lines to begin with.")] = 100,
    state: StateDir = None,
) -> None:
    """Show what the cloud's processes wrote down."""
    from azlan.commands.logs import log_lines

    for line in log_lines(existing(state), process, lines, follow=follow):
        typer.echo(line)


@cli.command()
def version() -> None:
    """Print the version."""
    typer.echo(f"azlan {__version__}")


@cli.command()
def types() -> None:
    """Print what the API serves on one page: types, references, actions, routes; and what it does not serve."""
    from azlan.arm.registry import Registry

    typer.echo(Registry.discover().describe(), nl=False)


@cli.command()
def env(
    shell: Annotated[str | None, typer.Argument(help="bash (zsh, sh), fish or pwsh.", show_default="by $SHELL")] = None,
    adfs: Annotated[
        bool, typer.Option("--adfs", help="Register the cloud's AD FS authority: az login -u -p works with it.")
    ] = False,
    connect: Annotated[
        str, typer.Option(help="pwsh: sign in as service-principal, by device-code, interactive, or none.")
    ] = "service-principal",
    state: StateDir = None,
) -> None:
    """Print what points a shell's az and SDKs at the cloud: eval "$(azlan env)".

    PowerShell gets its Az modules connected, too: azlan env pwsh | Out-String | Invoke-Expression
    """
    from azlan.commands import powershell
    from azlan.commands.azure_cli import open_session
    from azlan.commands.environment import SHELLS, guess_shell, lines

    chosen = {"zsh": "bash", "sh": "bash", "powershell": "pwsh"}.get(shell or "", shell) or guess_shell()
    if chosen not in SHELLS:
        raise CommandError(f"There are no lines for {chosen}.", f"There are for: {', '.join(SHELLS)}")
    way = next((way for way in powershell.CONNECTIONS if way == connect), None)
    if way is None:
        raise CommandError(f"There is no connection {connect}.", f"There are: {', '.join(powershell.CONNECTIONS)}")
    session = open_session(existing(state), adfs=adfs)
    if session.az is None and chosen != "pwsh":
        note = "azlan: there is no az on this computer; the SDK variables are set. Install it, or: make tutorial"
        typer.echo(note, err=True)
    if chosen == "pwsh":
        told = powershell.script(session.variables(), session.config.endpoint, session.config.authority, way)
    else:
        told = lines(session.variables(), chosen)
    typer.echo(told, nl=False)


@cli.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def redirect(
    command: Annotated[list[str], typer.Argument(help="What to run, with its arguments.")],
    state: StateDir = None,
) -> None:
    """Run a command to which Azure's own names mean this cloud: azlan redirect ansible-playbook site.yml"""
    from azlan.commands.azure_cli import open_login
    from azlan.commands.redirect import run

    config = existing(state)
    raise typer.Exit(asyncio.run(run(config, open_login(config), command)))


@cli.command()
def tutorial(
    delete: Annotated[bool, typer.Option("--delete", help="Remove the tutorial's resources instead.")] = False,
    state: StateDir = None,
) -> None:
    """Run the peering tutorial with the real az, from the first command to the pings."""
    from azlan.commands import tutorial as module

    config = existing(state)
    if not CloudClient(config).answers():
        raise CommandError(f"The cloud in {config.state} is not up.", "Start it: azlan up -d")
    (module.delete if delete else module.run)(config)


@cli.command()
def ssh(
    machine: Annotated[str, typer.Argument(metavar="VM", help="Name or resource id of the virtual machine.")],
    bastion: Annotated[str, typer.Option("--bastion", help="Name or resource id of the Bastion host.")],
    group: Annotated[str, typer.Option("-g", "--resource-group", help="Resource group of both.")] = "",
    username: Annotated[str | None, typer.Option("--username", "-u", help="User on the VM.")] = None,
    key: Annotated[Path | None, typer.Option("--ssh-key", "-i", help="Private key, instead of a password.")] = None,
    state: StateDir = None,
) -> None:
    """Open a session on a VM through a Bastion host."""
    from azlan.commands.azure_cli import open_login
    from azlan.commands.ssh import credentials, interact, request_for

    if not group and not (machine.startswith("/") and bastion.startswith("/")):
        raise CommandError("Which resource group?", "Name it: -g GROUP; or give resource ids.")
    config = existing(state)
    login = open_login(config)
    request = request_for(login.subscription, group=group, bastion=bastion, machine=machine)
    raise typer.Exit(asyncio.run(interact(config, login, request | credentials(username, key))))


@users.command("add")
def add_user(
    name: Annotated[str, typer.Argument(help="User name, or name of the service principal.")],
    role: Annotated[
        str, typer.Option(help="Owner, Contributor, Reader, Network Contributor, or a custom role.")
    ] = "Contributor",
    scope: Annotated[
        str | None, typer.Option(help="Resource id where the role holds.", show_default="the subscription")
    ] = None,
    service_principal: Annotated[
        bool, typer.Option("--service-principal", help="A service principal with a secret instead of a user.")
    ] = False,
    password: Annotated[str | None, typer.Option(help="Password.", show_default="one is made up")] = None,
    state: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Add someone who may log in, with a role. The secret is shown this once."""
    config = existing(state)
    kind = "ServicePrincipal" if service_principal else "User"
    asked = {"name": name, "kind": kind, "role": role, "scope": scope, "password": password}
    made = CloudClient(config, timeout=30.0).admin("POST", "/users", asked)
    if as_json:
        typer.echo(json.dumps(made, indent=2))
        return
    typer.echo(f"{made['name']} is {made['role']} of {made['scope']}.")
    if made["secret"]:
        typer.echo(f"  password   {made['secret']}   (shown this once)")
    if service_principal:
        typer.echo(f"  az login --service-principal -u {made['applicationId']} -p <password> --tenant {made['tenant']}")
    else:
        typer.echo(f"  {config.endpoint}/          the portal, in a browser")
        typer.echo("  az login                        opens the browser")
        typer.echo("  az login --use-device-code      from a terminal without one")
        typer.echo(f'  eval "$(azlan env --adfs)"; az login -u {made["name"]} -p <password>')


@users.command("list")
def list_users(state: StateDir = None, as_json: AsJson = False) -> None:
    """Show everyone who may log in."""
    found = CloudClient(existing(state)).admin("GET", "/users")["value"]
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    rows = [("NAME", "KIND", "OBJECT ID", "APPLICATION ID")]
    rows += [(user["name"], user["kind"], user["objectId"], user["applicationId"] or "") for user in found]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:  # ids are there to be copied: a line too long for the terminal is better than half an id
        typer.echo("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


@users.command("remove")
def remove_user(name: str, state: StateDir = None) -> None:
    """Remove someone, with all role assignments. Tokens stop working at once."""
    CloudClient(existing(state), timeout=30.0).admin("DELETE", f"/users/{name}")
    typer.echo(f"{name} is removed.")


@users.command("password")
def renew_password(
    name: str,
    password: Annotated[str | None, typer.Option(help="New password.", show_default="one is made up")] = None,
    state: StateDir = None,
) -> None:
    """Give someone a new password, or a service principal a new secret. A user has to sign in again."""
    made = CloudClient(existing(state), timeout=30.0).admin("POST", f"/users/{name}/password", {"password": password})
    typer.echo(f"{made['name']} has a new password.")
    if made["secret"]:
        typer.echo(f"  password   {made['secret']}   (shown this once)")


@users.command("revoke")
def revoke_user(name: str, state: StateDir = None) -> None:
    """End all sessions of someone who stays: every token given so far stops working at once."""
    CloudClient(existing(state), timeout=30.0).admin("POST", f"/users/{name}/revoke")
    typer.echo(f"{name} has to sign in again.")


def _with_spinner(first: str, work: Callable[[Callable[[str], None]], None]) -> None:
    """Show what is under way: a spinner on a terminal, lines elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        work(lambda text: console.print(text, markup=False))
        return
    with console.status(first) as spinner:
        work(lambda text: spinner.update(text))


def _welcome(config: Config) -> None:
    state = "" if config.state == default_state() else f" --state {config.state}"
    typer.echo(f"Azlan is up: {config.endpoint}  ({config.engine}, {config.machines})\n")
    told = (
        (f'eval "$(azlan env{state})"', "point az and the SDKs of this shell here"),
        (f"azlan user add NAME{state}", "someone who may sign in to the portal, at that address"),
        (f"azlan tutorial{state}", "two peered networks, two machines, one ping"),
        (f"azlan down{state}", "stop; the state stays"),
    )
    width = max(len(advice(command)) for command, _ in told)
    for command, what in told:
        typer.echo(f"  {advice(command).ljust(width)}   {what}")


def _foreground(config: Config) -> None:
    """Follow the logs; Ctrl-C or SIGTERM stops the cloud."""
    from azlan.commands import lifecycle
    from azlan.commands.logs import log_lines

    def told(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, told)
    typer.echo("\nCtrl-C stops it. What it writes down:\n")
    try:
        for line in log_lines(config, None, 5, follow=True):
            typer.echo(line)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _with_spinner("stopping", lambda say: lifecycle.down(config, say))
        typer.echo(f"\nStopped. What was in the cloud stays in {config.state}.")


def _status(config: Config) -> dict[str, Any]:
    """Everything `azlan status` tells; `up` is whether the API answers."""
    from azlan.commands import supervisor
    from azlan.commands.processes import read_seen

    seen = read_seen(supervisor.state_file(config))
    lock = supervisor.lock_of(config, supervisor.SUPERVISOR)
    watching = next(iter(lock.holders()), None)
    processes: dict[str, Any] = {"supervisor": {"pid": watching.pid if watching else None, "runs": lock.held()}}
    for role in supervisor.roles_of(config):
        process = supervisor.find(config, role)
        noted = seen.get(role)
        processes[role] = {"pid": process.pid if process else None, "restarts": noted.restarts if noted else 0}
    client = CloudClient(config, timeout=5.0)
    document: dict[str, Any] = {
        "up": client.answers(),
        "endpoint": config.endpoint,
        "state": str(config.state),
        "engine": config.engine,
        "machines": config.machines,
        "tenant": config.tenant,
        "subscription": config.subscription,
        "mark": config.mark,
        "processes": processes,
    }
    if document["up"] and os.access(config.admin_token, os.R_OK):
        document["control"] = client.admin("GET", "/status")
    return document


def _print_status(document: dict[str, Any]) -> None:
    table = Table(show_header=False, box=None)
    table.add_row("Cloud", f"{'up' if document['up'] else 'not up'}, {document['endpoint']}")
    for role, process in document["processes"].items():
        # The supervisor of a cloud with real packets is root's: others see that it holds its lock, not who it is.
        hidden = "runs, as root" if process.get("runs") else "does not run"
        told = f"pid {process['pid']}" if process["pid"] else hidden
        if process.get("restarts"):
            told += f", started again {process['restarts']} times"
        table.add_row(role.capitalize(), told)
    table.add_row("Engine", f"{document['engine']}, machines {document['machines']}")
    table.add_row("State", f"{document['state']} (mark {document['mark']})")
    table.add_row("Tenant", document["tenant"])
    table.add_row("Subscription", document["subscription"])
    control = document.get("control")
    if control:
        applied = control["applied"]
        table.add_row("Since", f"{datetime.fromtimestamp(control['started']):%Y-%m-%d %H:%M:%S}")
        table.add_row("Resources", f"{control['resources']}, {control['runningMachines']} machines running")
        table.add_row(
            "Revision",
            f"{control['revision']}, in force: network {applied['network']}, machines {applied['machines']}",
        )
        table.add_row("Operations", f"{control['pendingOperations']} under way")
        for part, why in control["failedParts"].items():
            table.add_row("Failed", f"{part}: {why}")
    Console().print(table)
