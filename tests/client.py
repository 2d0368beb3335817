"""A small ARM client for tests: requests, and operations followed to their end as an SDK follows them."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

GROUP = "test-rg"
API = {
    "microsoft.network": "2024-05-01",
    "microsoft.compute": "2024-07-01",
    "microsoft.resources": "2024-11-01",
    "microsoft.authorization": "2022-04-01",
}


class ArmFailure(AssertionError):
    """A request that was refused, or an operation that Failed."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message


class ArmClient:
    """Paths are relative to the group (`Microsoft.Network/virtualNetworks/vnet-1`), or absolute ids."""

    def __init__(self, http: httpx.AsyncClient, subscription: str, token: str, group: str = GROUP) -> None:
        self.http = http
        self.subscription = subscription
        self.group = group
        self.headers = {"Authorization": f"Bearer {token}"}

    def id(self, path: str) -> str:
        if path.startswith("/"):
            return path
        base = f"/subscriptions/{self.subscription}/resourceGroups/{self.group}"
        return f"{base}/providers/{path}" if path else base

    async def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        api: str | None = None,
    ) -> httpx.Response:
        target = self.id(path)
        namespace = target.lower().rsplit("/providers/", 1)[-1].split("/")[0] if "/providers/" in target else ""
        version = api or API.get(namespace, "2024-11-01")
        return await self.http.request(
            method,
            target,
            params={"api-version": version, **(query or {})},
            json=body,
            headers={**self.headers, **(headers or {})},
        )

    async def get(self, path: str, **more: Any) -> Any:
        return self._checked(await self.request("GET", path, **more))

    async def put(self, path: str, body: Any, **more: Any) -> Any:
        """PUT and wait; returns what GET then answers."""
        return await self._finished(path, await self.request("PUT", path, body, **more), more.get("api"))

    async def delete(self, path: str, **more: Any) -> None:
        await self._finished(path, await self.request("DELETE", path, **more), more.get("api"), gone=True)

    async def post(self, path: str, body: Any = None, **more: Any) -> Any:
        response = await self.request("POST", path, body, **more)
        if response.status_code == 202:
            return await self._polled(response)
        return self._checked(response)

    async def _finished(self, path: str, response: httpx.Response, api: str | None, gone: bool = False) -> Any:
        document = self._checked(response)
        if response.headers.get("azure-asyncoperation") or (response.status_code == 202):
            await self._polled(response)
        if gone:
            return None
        return await self.get(path, api=api) if document is not None else None

    @staticmethod
    def _checked(response: httpx.Response) -> Any:
        document = response.json() if response.content else None
        if response.status_code >= 400:
            error = (document or {}).get("error", {})
            raise ArmFailure(response.status_code, error.get("code", ""), error.get("message", response.text))
        return document

    async def _polled(self, response: httpx.Response) -> Any:
        operation = response.headers.get("azure-asyncoperation")
        location = response.headers.get("location")
        async with asyncio.timeout(180):
            while operation:
                polled = await self.http.get(operation, headers=self.headers)
                document = self._checked(polled)
                if document["status"] in ("Failed", "Canceled"):
                    error = document.get("error", {})
                    raise ArmFailure(200, error.get("code", document["status"]), error.get("message", ""))
                if document["status"] == "Succeeded":
                    break
                await asyncio.sleep(0.02)
            while location:
                polled = await self.http.get(location, headers=self.headers)
                if polled.status_code != 202:
                    return self._checked(polled)
                await asyncio.sleep(0.02)
        return None
