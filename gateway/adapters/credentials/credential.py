"""What every credential promises: headers for one request to one backend, or a refusal before anything is sent.

A credential says for whom it was obtained: what is got with one subject's own is never shown for another's.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from gateway.errors import BackendFailed
from gateway.model import Outgoing


class Credential(Protocol):
    """As whom the gateway comes to one backend."""

    @property
    def per_subject(self) -> bool:
        """Whether the backend sees each subject apart: sessions and lists are then never shared."""
        ...

    async def headers(self, request: Outgoing) -> Mapping[str, str]:
        """What to send with `request`. Raises `BackendFailed("credential", sent=False)`."""
        ...

    async def rejected(self, request: Outgoing, shown: Mapping[str, str]) -> bool:
        """The backend answered 401 to these headers. True: they are dropped, and others are worth one more try."""
        ...

    async def close(self) -> None: ...


class Nothing:
    """The backend asks for no credential."""

    per_subject = False

    async def headers(self, request: Outgoing) -> Mapping[str, str]:
        return {}

    async def rejected(self, request: Outgoing, shown: Mapping[str, str]) -> bool:
        return False

    async def close(self) -> None:
        return


class Together:
    """Several credentials in one request, each in a header of its own."""

    def __init__(self, parts: Sequence[Credential]) -> None:
        self._parts = tuple(parts)

    @property
    def per_subject(self) -> bool:
        return any(each.per_subject for each in self._parts)

    async def headers(self, request: Outgoing) -> Mapping[str, str]:
        shown: dict[str, str] = {}
        for each in self._parts:
            shown.update(await each.headers(request))
        return shown

    async def rejected(self, request: Outgoing, shown: Mapping[str, str]) -> bool:
        renewed = [await each.rejected(request, shown) for each in self._parts]
        return any(renewed)

    async def close(self) -> None:
        for each in self._parts:
            await each.close()


def unavailable(detail: str) -> BackendFailed:
    """There is no credential to show; nothing was sent. `detail` is for the operator and holds no secret."""
    return BackendFailed("credential", detail, sent=False)
