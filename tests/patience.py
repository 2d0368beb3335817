"""A client that goes on when the cloud's processes are killed: requests nobody answered are sent again, as SDKs do."""

from __future__ import annotations

import asyncio
import time

import httpx

from standing import Standing

SECONDS = 60.0


class PatientTransport(httpx.AsyncBaseTransport):
    """Sends a request again while nobody answers it; every request of the tests may be repeated."""

    def __init__(self, cloud: Standing) -> None:
        self._context = cloud.context()
        self._inner = httpx.AsyncHTTPTransport(verify=self._context)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        until = time.monotonic() + SECONDS
        while True:
            try:
                answer = await self._inner.handle_async_request(request)
                content = await answer.aread()
                return httpx.Response(answer.status_code, headers=answer.headers, content=content, request=request)
            except httpx.TransportError:
                if time.monotonic() > until:
                    raise
                await asyncio.sleep(0.05)

    async def aclose(self) -> None:
        await self._inner.aclose()
