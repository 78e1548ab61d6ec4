"""A token of the gateway's own by OAuth client credentials: the same whoever asks."""

from collections.abc import Mapping

from gateway.adapters.credentials.issued import IssuedTokens
from gateway.adapters.credentials.token_endpoint import TokenEndpoint
from gateway.identity.outbound import Issued, Wanted, client_credentials_form
from gateway.model import Outgoing

OWN = ""


class ClientCredentials:
    """See RFC 6749 4.4."""

    per_subject = False

    def __init__(self, endpoint: TokenEndpoint, wanted: Wanted, tokens: IssuedTokens) -> None:
        self._endpoint = endpoint
        self._form = client_credentials_form(wanted)
        self._tokens = tokens

    async def headers(self, request: Outgoing) -> Mapping[str, str]:
        return {"Authorization": "Bearer " + await self._tokens.token(OWN, self._obtained)}

    async def rejected(self, request: Outgoing, shown: Mapping[str, str]) -> bool:
        return self._tokens.drop(OWN, shown["Authorization"].removeprefix("Bearer "))

    async def close(self) -> None:
        await self._tokens.close()
        await self._endpoint.close()

    async def _obtained(self) -> Issued:
        return await self._endpoint.asked(self._form)
