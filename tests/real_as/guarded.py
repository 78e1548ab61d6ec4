"""A backend that trusts the same provider: `python -m tests.real_as.guarded --issuer … --jwks …` prints `port <n>`.

It is the official SDK's server with its own bearer checks; a token counts only if the provider made it for this very URL.
`whoami` tells what the token says, `GET /seen` every credential that was ever sent here.
"""

import argparse
import asyncio
import json
import socket
from typing import Any

import jwt
import uvicorn
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import MCPServer
from mcp_types import ToolAnnotations
from pydantic import AnyHttpUrl
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send


class Verifier:
    """The SDK's `TokenVerifier`, over the provider's published keys."""

    def __init__(self, issuer: str, jwks_url: str, resource: str) -> None:
        self._issuer = issuer
        self._resource = resource
        self._keys = jwt.PyJWKClient(jwks_url, cache_keys=False)  # for minutes; asks at once for a key that it does not know

    async def verify_token(self, token: str) -> AccessToken | None:
        try:
            key = await asyncio.to_thread(self._keys.get_signing_key_from_jwt, token)
            claims = jwt.decode(token, key, algorithms=["RS256"], audience=self._resource, issuer=self._issuer)
        except jwt.PyJWTError:
            return None
        return AccessToken(
            token=token,
            client_id=claims["client_id"],
            scopes=claims.get("scope", "").split(),
            expires_at=claims["exp"],
            resource=self._resource,
            subject=claims["sub"],
            claims=claims,
        )


def guarded(issuer: str, jwks_url: str, url: str) -> MCPServer:
    server = MCPServer(
        "guarded",
        token_verifier=Verifier(issuer, jwks_url, url),
        auth=AuthSettings(
            issuer_url=AnyHttpUrl(issuer),
            resource_server_url=AnyHttpUrl(url),
            required_scopes=["deploy:read"],
            validate_token_resource=False,  # the verifier does
        ),
    )

    @server.tool(annotations=ToolAnnotations(read_only_hint=True))
    def whoami() -> str:
        """What the token that came with this call says."""
        token = get_access_token()
        assert token is not None and token.claims is not None
        return json.dumps({name: token.claims.get(name) for name in ("sub", "client_id", "scope", "aud", "act", "jti")})

    return server


class Seen:
    """Keeps every credential that is sent, before anything is checked."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._seen: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            if scope["path"] == "/seen":
                await JSONResponse(self._seen)(scope, receive, send)
                return
            self._seen.append(Request(scope).headers.get("authorization", ""))
        await self._app(scope, receive, send)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--issuer", required=True)
    parser.add_argument("--jwks", required=True)
    told: Any = parser.parse_args()
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    app = guarded(told.issuer, told.jwks, f"http://127.0.0.1:{port}/mcp").streamable_http_app()
    print(f"port {port}", flush=True)
    uvicorn.Server(uvicorn.Config(Seen(app), log_level="warning")).run(sockets=[listener])


if __name__ == "__main__":
    main()
