"""One secret for all: the gateway's own, the same whoever asks."""

from collections.abc import Mapping

from gateway.adapters.credentials.secret import Secret
from gateway.model import Outgoing


class StaticCredential:
    """A secret in a header."""

    per_subject = False

    def __init__(self, secret: Secret, *, header: str = "Authorization", prefix: str = "Bearer ") -> None:
        self._secret = secret
        self._header = header
        self._prefix = prefix

    async def headers(self, request: Outgoing) -> Mapping[str, str]:
        return {self._header: self._prefix + await self._secret.current()}

    async def rejected(self, request: Outgoing, shown: Mapping[str, str]) -> bool:
        await self._secret.changed()
        return shown.get(self._header) != self._prefix + await self._secret.current()

    async def close(self) -> None:
        await self._secret.close()
