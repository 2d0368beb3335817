"""The portal's pages: the built bundle, an index with a nonce of its own for every answer, and the policy they live under.

The policy follows Content Security Policy Level 3 and Trusted Types; its violations are reported here and counted.
"""

from __future__ import annotations

import mimetypes
import secrets
from pathlib import Path

from starlette.responses import HTMLResponse, Response

FOLDER = Path(__file__).parent.parent / "portal"
"""Where `make portal` and the wheel's build put the bundle."""

REPORTS = "/portal/violations"
_NONCE = "__NONCE__"
_TYPES = {".js": "text/javascript", ".css": "text/css", ".woff2": "font/woff2", ".svg": "image/svg+xml"}

_MISSING = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Azlan</title></head><body>
<h1>The portal is not built</h1><p>This is a checkout: run <code>make portal</code>, then load this page again.</p>
</body></html>"""


def policy(nonce: str) -> str:
    return (
        "default-src 'none'; script-src 'self'; "
        f"style-src 'self' 'nonce-{nonce}'; connect-src 'self'; font-src 'self'; img-src 'self' blob:; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
        f"report-uri {REPORTS}"
    )


HEADERS = {
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class Bundle:
    """The files of the bundle, in memory; read again when `make portal` has built another."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._folder = folder
        self._built = 0
        self._index = ""
        self._assets: dict[str, bytes] = {}

    def page(self) -> Response:
        """The one page, for any address of the portal."""
        self._read()
        nonce = secrets.token_urlsafe(16)
        headers = {**HEADERS, "Cache-Control": "no-store", "Content-Security-Policy": policy(nonce)}
        if not self._index:
            return HTMLResponse(_MISSING, 503, headers)
        return HTMLResponse(self._index.replace(_NONCE, nonce), headers=headers)

    def asset(self, name: str) -> Response:
        """A file whose name holds its hash: good for ever."""
        self._read()
        content = self._assets.get(name)
        if content is None:
            return Response("Not found\n", 404, {**HEADERS, "Cache-Control": "no-store"}, media_type="text/plain")
        kind = _TYPES.get(Path(name).suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
        return Response(content, 200, {**HEADERS, "Cache-Control": "public, max-age=31536000, immutable"}, kind)

    def _read(self) -> None:
        index = self._folder / "index.html"
        try:
            built = index.stat().st_mtime_ns
            if built == self._built:
                return
            # The index is moved into place last: what it names is there.
            self._index = index.read_text()
            self._assets = {file.name: file.read_bytes() for file in (self._folder / "assets").iterdir()}
            self._built = built
        except OSError:
            self._index, self._assets, self._built = "", {}, 0
