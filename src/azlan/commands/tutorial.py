"""`azlan tutorial`: every line of the tutorial's CLI tab with the real az, then the log-in through Bastion and the pings.

Shows each command and its real output as it comes, checks what the tutorial says of it, and stops with a clear message at
the first deviation. Password prompts are answered through a pseudo-terminal, as a person would.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import string
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import pexpect
from rich.console import Console
from rich.rule import Rule
from rich.text import Text

from azlan.commands.azure_cli import Session, find_az, open_session
from azlan.commands.bastion_session import BastionSession
from azlan.commands.clouds import CloudClient, CommandError, advice
from azlan.commands.ssh import request_for
from azlan.commands.tutorial_steps import BASTION, DELETE, GROUP, PINGS, STEPS, USER, Step
from azlan.config import Config

_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[=>]")
_HALF_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|\][^\x07\x1b]*)?$")
_SPINNER = re.compile(r" [-\\|/] (?:Starting|Running|Finished) \.\.\s*")
"""az's progress indicator, which makes no sense in a file."""
_PROMPT_SECONDS = 60.0
IMAGE = "ubuntu-22.04"


class Deviation(CommandError):
    """The tutorial did not go as the tutorial says."""


def run(config: Config, *, folder: Path | None = None, out: TextIO = sys.stdout) -> None:
    """The whole tutorial. Leaves everything up. Raises Deviation, or CommandError where it cannot begin."""
    console = Console(file=out, highlight=False, soft_wrap=True)
    session = _begin(config, folder)
    if config.machines == "containers":
        _have_image(console)
    started = time.monotonic()
    password = _password()
    with Shell(session, console, password) as shell:
        if shell.quiet(f"az group exists --name {GROUP}").strip() == "true":
            raise CommandError(
                f"The resource group {GROUP} is there already.",
                "Finish with what is in it, then remove it: azlan tutorial --delete",
            )
        for step in STEPS:
            shell.step(step)
    if config.machines == "containers":
        for machine, target in PINGS:
            _say(console, f"Communicate between VMs: {machine}, through Azure Bastion")
            asyncio.run(_ping(session, console, machine, target, password))
    else:
        console.print("Simulated machines have no shell to log in to: the pings need --machines containers.")
    _next_steps(console, config, password, time.monotonic() - started)


def delete(config: Config, *, folder: Path | None = None, out: TextIO = sys.stdout) -> None:
    """Delete the tutorial's group and return when all that came with it is gone. Raises CommandError."""
    console = Console(file=out, highlight=False, soft_wrap=True)
    session = _begin(config, folder)
    with Shell(session, console, "") as shell:
        for step in DELETE:
            shell.step(step)
    client = CloudClient(config)
    deadline = time.monotonic() + 120
    while True:
        status = client.admin("GET", "/status")
        others = status["resources"] > 0  # of another group, whose machines may well run
        if not status["pendingOperations"] and (others or not status["runningMachines"]):
            console.print("Everything is gone.", style="green")
            return
        if time.monotonic() > deadline:
            raise CommandError("The group is gone, but not all that ran for it.", "See: azlan status, azlan logs")
        time.sleep(0.2)


def _begin(config: Config, folder: Path | None) -> Session:
    if find_az() is None:
        raise CommandError("There is no az on this computer.", "Install the Azure CLI, or use: make tutorial")
    return open_session(config, folder=folder)


def _have_image(console: Console) -> None:
    """Build the image first, with its progress on show; only root can, for others the fabric process does it unseen."""
    if os.geteuid() != 0:
        return
    from azlan.commands.images import build
    from azlan.machines.images import ImageStore

    if ImageStore().find(IMAGE) is None:
        _say(console, f"Build the guest image {IMAGE}, once for this computer")
        build([IMAGE])


class Shell:
    """A bash on a pseudo-terminal in which the tutorial's lines are run; variables live from one to the next."""

    def __init__(self, session: Session, console: Console, password: str) -> None:
        self._console = console
        self._password = password
        self._mark = f"azlan-{secrets.token_hex(8)}"
        variables = {**session.environment(), "PS1": "", "PS2": "", "AZURE_CORE_NO_COLOR": "true", "TERM": "dumb"}
        if not console.is_terminal:
            variables["AZURE_CORE_DISABLE_PROGRESS_BAR"] = "true"
        self._child: pexpect.spawn[str] = pexpect.spawn(
            "bash", ["--norc", "--noprofile", "--noediting"], env=variables, encoding="utf-8",
            codec_errors="replace", echo=False, dimensions=(50, 200),
        )  # fmt: skip
        self._folder = tempfile.TemporaryDirectory(prefix="azlan-tutorial-")

    def __enter__(self) -> Shell:
        return self

    def __exit__(self, *_: object) -> None:
        self._child.close(force=True)
        self._folder.cleanup()

    def step(self, step: Step) -> None:
        """Show a command, run it, show its output as it comes, and check it. Raises Deviation."""
        if step.title:
            _say(self._console, step.title)
        self._console.print(Text("$ " + step.text.replace("\n", "\n  "), style="bold" if step.printed else "dim bold"))
        began = time.monotonic()
        output, status = self._run(step.text, step.seconds, self._show)
        self._console.print(Text(f"({time.monotonic() - began:.1f} s)\n", style="dim"))
        command = next(line for line in step.text.splitlines() if not line.startswith("#")).rstrip(" \\")
        if status != 0:
            raise Deviation(f"`{command} …` ended with status {status}.", "See: azlan logs, azlan status, azlan doctor")
        if step.expect and not re.search(step.expect, output):
            raise Deviation(
                f"`{command} …` did not answer {step.expect} as the tutorial says.", "See: azlan logs, azlan status"
            )

    def quiet(self, text: str) -> str:
        """Output of a command that is not part of the tutorial. Raises CommandError where it fails."""
        output, status = self._run(text, 120, lambda _: None)
        if status != 0:
            raise CommandError(f"`{text}` failed:\n\n{output.strip()}", "See: azlan status")
        return output

    def _run(self, text: str, seconds: float, show: Callable[[str], None]) -> tuple[str, int]:
        script = Path(self._folder.name) / "step.sh"
        script.write_text(text + "\n")
        self._child.sendline(f"source {script}; azlan_status=$?; printf '\\n%s %s\\n' {self._mark} $azlan_status")
        output, deadline = "", time.monotonic() + seconds
        prompts: list[Any] = [
            rf"\r?\n?{self._mark} (\d+)\r?\n",
            r"(?:Confirm )?Admin Password: ?",
            r"\n",
            r"\r(?=[^\n])",  # az's progress indicator
        ]
        while True:
            try:
                found = self._child.expect(prompts, timeout=max(1.0, deadline - time.monotonic()))
            except pexpect.TIMEOUT as error:
                raise Deviation(f"No end after {seconds:g} s.", "See: azlan logs, azlan status") from error
            except pexpect.EOF as error:
                raise Deviation("The shell ended.") from error
            before = _ANSI.sub("", self._child.before or "")
            if not self._console.is_terminal:
                before = _SPINNER.sub("", before)
                if found == 3:
                    continue
            if found == 0:
                if before.strip():
                    show(before)
                assert isinstance(self._child.match, re.Match)
                return output + before, int(self._child.match.group(1))
            after = str(self._child.after)
            output += before + after
            show(before + after)
            if found == 1:
                self._child.sendline(self._password)
                show("********")

    def _show(self, text: str) -> None:
        self._console.file.write(text.replace("\r\n", "\n"))
        self._console.file.flush()


async def _ping(session: Session, console: Console, machine: str, target: str, password: str) -> None:
    """Log in by user name and password, ping as the tutorial does, and look at every reply."""
    request = request_for(session.login.subscription, group=GROUP, bastion=BASTION, machine=machine)
    request |= {"username": USER, "password": password, "columns": 120, "rows": 40, "terminal": "xterm"}
    prompt = f"{USER}@{machine}:~$"
    login = (session.login.client_id, session.login.secret)
    console.print(Text(f"$ azlan ssh --bastion {BASTION} -g {GROUP} {machine} --username {USER}", style="bold"))
    async with BastionSession(CloudClient(session.config), login, request) as bastion:
        terminal = _Terminal(bastion, console)
        await terminal.until(prompt)
        await bastion.write(f"ping -c 4 {target}\n".encode())
        output = await terminal.until(prompt)
        await bastion.write(b"exit\n")
        while await bastion.read():
            pass
    console.print()
    replies = re.findall(rf"64 bytes from {re.escape(target)}: icmp_seq=\d+ ttl=(\d+)", output)
    if replies != ["64"] * 4 or "4 packets transmitted, 4 received" not in output:
        raise Deviation(
            f"{machine} did not get its 4 replies with ttl=64 from {target}.",
            f"See: az network vnet peering list -g {GROUP} --vnet-name vnet-1 -o table; azlan logs",
        )


class _Terminal:
    """What a session prints, without its control sequences."""

    def __init__(self, bastion: BastionSession, console: Console) -> None:
        self._bastion = bastion
        self._console = console
        self._text = ""

    async def until(self, prompt: str) -> str:
        """Show output until it ends with the prompt; what came. Raises Deviation."""
        raw = b""
        try:
            async with asyncio.timeout(_PROMPT_SECONDS):
                while True:
                    data = await self._bastion.read()
                    if not data:
                        raise Deviation(f"The session ended before its prompt {prompt} came.", "See: azlan logs")
                    raw += data
                    decoded = raw.decode(errors="replace")
                    if _HALF_ANSI.search(decoded):
                        continue
                    text = _ANSI.sub("", decoded).replace("\r\n", "\n").replace("\r", "")
                    self._console.file.write(text[len(self._text) :])
                    self._console.file.flush()
                    self._text = text
                    if text.rstrip().endswith(prompt):
                        self._text = ""
                        return text
        except TimeoutError as error:
            raise Deviation(f"The prompt {prompt} did not come.", "See: azlan logs") from error


def _say(console: Console, title: str) -> None:
    console.print(Rule(title, align="left", style="blue"))


def _password() -> str:
    """One that Azure accepts: upper and lower case, a digit, a sign."""
    return "Azlan-" + "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(10)) + "-7"


def _next_steps(console: Console, config: Config, password: str, seconds: float) -> None:
    _say(console, "Done")
    console.print(f"Everything went as the tutorial says, in {seconds:.0f} s. The cloud and its resources stay up.\n")
    state = "" if config.state == Path("/var/lib/azlan") else f" --state {config.state}"
    told = [
        ("Use az yourself:", f'eval "$(azlan env{state})"; az network vnet list -o table'),
        ("Remove the resources:", f"azlan tutorial{state} --delete"),
        ("Stop the cloud:", f"azlan down{state}"),
    ]
    if config.machines == "containers":
        login = f"azlan ssh{state} --bastion {BASTION} -g {GROUP} vm-1 --username {USER}"
        told[:0] = [("Log in, as in the tutorial:", login), ("", f"password: {password}")]
    for what, command in told:
        console.print(f"  {what:27}   {advice(command)}", markup=False)
