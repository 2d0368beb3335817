"""The cloud's mirror of az extensions: `az network bastion` installs itself from here, with internet or without.

az looks below `azmirrorStorageAccountResourceId` for `extensions/extensionCommandTree.json`, `extensions/index.json` and the
wheel that the index names. The wheel is built at start from the packaged source, the same bytes each time.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import zipfile
from functools import cached_property
from importlib import resources
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

VERSION = "0.2.0"
"""Below every version of Microsoft's extension, so that an index which has both prefers Microsoft's."""
_NAME = "bastion"
_SUMMARY = "Azure Bastion commands of a local cloud"
_COMMANDS = ("create", "delete", "list", "show", "ssh", "tunnel", "wait")


class ExtensionMirror:
    """The mirror's routes."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/extensions/extensionCommandTree.json", self.command_tree, methods=["GET"]),
            Route("/extensions/index.json", self.index, methods=["GET"]),
            Route(f"/extensions/{wheel_name()}", self.wheel, methods=["GET"]),
        ]

    async def command_tree(self, _request: Request) -> Response:
        """Which extension brings which command."""
        return JSONResponse({"network": {"bastion": dict.fromkeys(_COMMANDS, _NAME)}})

    async def index(self, _request: Request) -> Response:
        item = {
            "downloadUrl": f"{self._endpoint}/extensions/{wheel_name()}",
            "filename": wheel_name(),
            "metadata": {
                **_azext_metadata(),
                "classifiers": [],
                "extras": [],
                "license": "Apache-2.0",
                "metadata_version": "2.1",
                "name": _NAME,
                "run_requires": [],
                "summary": _SUMMARY,
                "version": VERSION,
            },
            "sha256Digest": hashlib.sha256(self._wheel).hexdigest(),
        }
        return JSONResponse({"formatVersion": "1", "extensions": {_NAME: [item]}})

    async def wheel(self, _request: Request) -> Response:
        return Response(self._wheel, media_type="application/octet-stream")

    @cached_property
    def _wheel(self) -> bytes:
        return build_wheel()


def wheel_name() -> str:
    return f"{_NAME}-{VERSION}-py3-none-any.whl"


def build_wheel() -> bytes:
    """The extension as a wheel (Binary distribution format, PEP 427); the same bytes for the same source."""
    info = f"{_NAME}-{VERSION}.dist-info"
    files = {f"azext_bastion/{name}": content for name, content in _source().items()}
    files[f"{info}/METADATA"] = (
        f"Metadata-Version: 2.1\nName: {_NAME}\nVersion: {VERSION}\nSummary: {_SUMMARY}\nLicense: Apache-2.0\n"
    ).encode()
    files[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: azlan\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files[f"{info}/top_level.txt"] = b"azext_bastion\n"
    record = [
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b'=').decode()},{len(content)}"
        for name, content in files.items()
    ]
    files[f"{info}/RECORD"] = "".join(f"{line}\n" for line in [*record, f"{info}/RECORD,,"]).encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            member = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            member.compress_type = zipfile.ZIP_DEFLATED
            member.external_attr = 0o644 << 16
            archive.writestr(member, content)
    return out.getvalue()


def _source() -> dict[str, bytes]:
    """File name → content, in the order of the names."""
    folder = resources.files("azlan").joinpath("extension", "azext_bastion")
    files = sorted((f for f in folder.iterdir() if f.name.endswith((".py", ".json"))), key=lambda f: f.name)
    return {f.name: f.read_bytes() for f in files}


def _azext_metadata() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(_source()["azext_metadata.json"])
    return document
