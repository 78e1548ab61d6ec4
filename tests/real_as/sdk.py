"""The official client with its own OAuth: it knows the gateway's URL, and a person who logs in when it asks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx2
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from mcp_types import CallToolResult
from pydantic import AnyUrl

from tests.flows.running import MODERN, PATIENCE_S
from tests.real_as.person import REDIRECT_URI, Person


@dataclass
class Kept:
    """What the client keeps between runs, in memory; `tokens` is every token it was ever given, oldest first."""

    client: OAuthClientInformationFull | None = None
    tokens: list[OAuthToken] = field(default_factory=list)

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens[-1] if self.tokens else None

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens.append(tokens)

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


@dataclass
class Seen:
    """Every request the client made besides its MCP messages' bodies, with what it was answered."""

    answers: list[tuple[str, str, int]] = field(default_factory=list)  # method, URL without its query, status

    async def note(self, response: httpx2.Response) -> None:
        url = str(response.request.url.copy_with(query=None))
        self.answers.append((response.request.method, url, response.status_code))

    def paths(self, base: str) -> list[tuple[str, int]]:
        """Path and status of the requests to one server, in their order."""
        return [(url.removeprefix(base), status) for _, url, status in self.answers if url.startswith(base)]


@asynccontextmanager
async def logged_in(
    url: str,
    person: Person,
    *,
    kept: Kept | None = None,
    seen: Seen | None = None,
    era: str = "modern",
    document: str | None = None,
) -> AsyncIterator[Client]:
    """A client of the gateway at `url`. `document`: where its client id metadata document is, if it has one."""
    auth = OAuthClientProvider(
        url,
        OAuthClientMetadata(
            client_name="The tests' assistant",
            redirect_uris=[AnyUrl(REDIRECT_URI)],
            token_endpoint_auth_method="none",
        ),
        kept or Kept(),
        redirect_handler=person.visit,
        callback_handler=person.back,
        client_metadata_url=document,
    )
    hooks = {"response": [(seen or Seen()).note]}
    mode = "legacy" if era == "legacy" else MODERN
    try:
        async with (
            httpx2.AsyncClient(auth=auth, timeout=PATIENCE_S, event_hooks=hooks) as http,
            Client(
                streamable_http_client(url, http_client=http), mode=mode, cache=None, read_timeout_seconds=PATIENCE_S
            ) as client,
        ):
            yield client
    finally:
        await person.close()


def said(result: object) -> tuple[str, bool]:
    """A tool's text, and whether it calls itself an error."""
    assert isinstance(result, CallToolResult)
    return getattr(result.content[0], "text", ""), bool(result.is_error)
