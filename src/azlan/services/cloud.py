"""`/metadata/endpoints`: what this cloud is called and where its parts are, in the shapes that clients ask for.

Follows `https://management.azure.com/metadata/endpoints` of api-versions 1.0 (Add-AzEnvironment), 2015-01-01, 2019-05-01 (a
list) and 2022-09-01 (one object). Only what is served here is named: a client that needs more says so instead of failing later.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from azlan.providers.compute.images import alias_document
from azlan.services.identity import UNVALIDATED

CLOUD_NAME = "Azlan"


class CloudMetadata:
    """The routes that need no token: a client reads them before it can have one."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/metadata/endpoints", self.endpoints, methods=["GET"]),
            # `az cloud register --endpoint-resource-manager https://…/` joins with a second slash.
            Route("//metadata/endpoints", self.endpoints, methods=["GET"]),
            Route("/metadata/aliases.json", self.aliases, methods=["GET"]),
            Route("/v1.0/{path:path}", self.graph, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
        ]

    async def endpoints(self, request: Request) -> Response:
        version = request.query_params.get("api-version", "")
        if version >= "2020":
            return JSONResponse(self.document())
        if version >= "2018":
            return JSONResponse([self.document()])
        base = f"{self.endpoint}/"
        # 1.0 is Az.Accounts' own: EnvironmentHelper.cs, which refuses an answer without all of these.
        login = f"{self.endpoint}{UNVALIDATED}/" if version == "1.0" else base
        return JSONResponse(
            {
                "galleryEndpoint": base,
                "graphEndpoint": base,
                "portalEndpoint": base,
                "authentication": {"loginEndpoint": login, "audiences": [base]},
            }
        )

    async def aliases(self, _request: Request) -> Response:
        """`az vm create --image Ubuntu2204`: the alias document az reads."""
        return JSONResponse(alias_document())

    async def graph(self, _request: Request) -> Response:
        """Microsoft Graph's words for a caller without the right to ask, which az takes for "no names to show"."""
        words = (
            "Microsoft Graph is not served here. Name principals by their object id: --assignee-object-id ID "
            "--assignee-principal-type TYPE; `azlan user list` shows the ids."
        )
        return JSONResponse({"error": {"code": "Authorization_RequestDenied", "message": words}}, 403)

    def document(self) -> dict[str, Any]:
        """The cloud, by its AAD-style authority; a client that wants AD FS overrides `loginEndpoint` with `/adfs`."""
        base = f"{self.endpoint}/"
        return {
            "name": CLOUD_NAME,
            "portal": base,
            "authentication": {
                "loginEndpoint": base,
                "audiences": [base, self.endpoint],
                "tenant": "common",
                "identityProvider": "AAD",
            },
            "resourceManager": base,
            # `az role assignment list` wants to know where Graph is before anything else, and does without its answer.
            "microsoftGraphResourceId": base,
            "azmirrorStorageAccountResourceId": self.endpoint,
            "vmImageAliasDoc": f"{self.endpoint}/metadata/aliases.json",
            "suffixes": {
                "acrLoginServer": "azurecr.localhost",
                "keyVaultDns": "vault.localhost",
                "sqlServerHostname": "database.localhost",
                "storage": "core.localhost",
            },
        }
