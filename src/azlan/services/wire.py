"""HTTP/1.1 as uvicorn reads it with httptools, but for heads without end: they are refused with 400, as Azure's front ends do.

Neither of the two bounds what it keeps of a head ("request header fields too large", RFC 6585, 5, is theirs to send), so that
whoever reaches the port could fill the process's memory.
"""

from __future__ import annotations

from httptools import HttpParserError
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEAD = 64 * 1024
"""Bytes of request line and headers together."""


class BoundedHead(HttpToolsProtocol):
    """For `uvicorn.Config(http=…)`."""

    _told = 0
    """Bytes of the head's complete parts."""
    _fed = 0
    """Bytes of pieces that lie wholly within a head that goes on."""
    _within = _begun = False

    def data_received(self, data: bytes) -> None:
        self._begun = False
        super().data_received(data)
        if not self._within or self._begun or self.transport.is_closing():
            return
        self._fed += len(data)
        if self._fed > MOST_HEAD:
            self.send_400_response("The request's headers are too long.")

    def on_message_begin(self) -> None:
        self._told = self._fed = 0
        self._within = self._begun = True
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value) + 4)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._within = False
        super().on_headers_complete()

    def _count(self, size: int) -> None:
        self._told += size
        if self._told > MOST_HEAD:
            raise HttpParserError("The request's headers are too long.")
