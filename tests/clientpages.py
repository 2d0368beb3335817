"""The pages of docs/clients that hold a whole program: the program, what it prints, and how a user runs it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from threading import Timer

from javascript import NODE, give_packages

_FOLDER = Path(__file__).parents[1] / "docs" / "clients"
_LANGUAGES = {"python": ("python tutorial.py", sys.executable), "javascript": ("node tutorial.mjs", str(NODE))}
_ONLY_HERE = {
    "python": {
        'endpoint = os.environ["AZLAN_ENDPOINT"]\n': "",
        "disable_instance_discovery=True": "",
        'cloud = {"base_url": endpoint, "credential_scopes": [f"{endpoint}/.default"]}': "cloud = {}",
    },
    "javascript": {
        "const endpoint = process.env.AZLAN_ENDPOINT;\n": "",
        "{ disableInstanceDiscovery: true }": "",
        "const cloud = { endpoint, credentials: { scopes: [`${endpoint}/.default`] } };": "const cloud = {};",
    },
}
"""What the programs say that public Azure does not need, and what stands there for public Azure."""

ASKED = "Enter deletes test-rg: "
"""Where the programs wait for the Enter key, with everything built."""
SECONDS = 300
"""How long a program may take, until it waits and afterwards."""
_PASSWORD = re.compile(r"password (Aa1-[\w-]{12,16})")


def password(output: str) -> str:
    """The one that a program made up for its machines."""
    found = _PASSWORD.search(output)
    assert found is not None, output
    return found[1]


class ClientPage:
    """The page of a language."""

    def __init__(self, language: str) -> None:
        self.language = language
        self.command, self._runs = _LANGUAGES[language]
        self.text = (_FOLDER / f"{language}.md").read_text()
        blocks = re.findall(r"^```(\w+)\n(.*?)^```$", self.text, re.MULTILINE | re.DOTALL)
        (self.program,) = [block for kind, block in blocks if kind == language]
        console = [block for kind, block in blocks if kind == "console"]
        (self.installed,) = [
            line for block in console for line in re.findall(r"^\$ (?:pip|npm) install (.*)$", block, re.M)
        ]
        (self.printed,) = [block.partition("\n")[2] for block in console if block.startswith(f"$ {self.command}\n")]

    def for_public_azure(self) -> str:
        """The program as one would write it for public Azure."""
        program = self.program
        for here, there in _ONLY_HERE[self.language].items():
            assert program.count(here) == 1, here
            program = program.replace(here, there)
        return program

    def start(
        self, folder: Path, variables: Mapping[str, str], *before: str, program: str = ""
    ) -> subprocess.Popen[str]:
        """Save the program, or another, in an empty folder and run it, with these variables and no others that could
        matter to it. `before`: the words of a command that takes it as its last arguments."""
        file = self.command.split()[1]
        (folder / file).write_text(program or self.program)
        give_packages(folder)
        plain = {name: os.environ.get(name, "") for name in ("PATH", "LANG")}
        return subprocess.Popen(
            [*before, self._runs, file],
            cwd=folder,
            env={**plain, "HOME": str(folder), **variables},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


def until_asked(program: subprocess.Popen[str]) -> str:
    """What a program prints until it waits for the Enter key, or ends."""
    assert program.stdout is not None
    output = ""
    late = Timer(SECONDS, program.kill)
    late.start()
    while not output.endswith(ASKED) and (letter := program.stdout.read(1)):
        output += letter
    late.cancel()
    return output


def after_enter(program: subprocess.Popen[str]) -> str:
    """Press the Enter key; what a program prints until it ends."""
    return program.communicate("\n", timeout=SECONDS)[0]


def comparable(output: str) -> str:
    """Output in which the random password does not show."""
    return _PASSWORD.sub("password …", output).rstrip()
