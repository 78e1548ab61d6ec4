"""Who asks: from settings to the authenticator."""

from collections.abc import Iterable, Sequence

from gateway.adapters.authenticator import AccessTokens, ApiKeys, Front, SurfaceAccess
from gateway.assembly.issuers import key_ring
from gateway.front.endpoint import Room
from gateway.identity.tokens import TrustedIssuer
from gateway.settings.identity import Issuer
from gateway.settings.load import SettingsError
from gateway.settings.model import Settings


def access_tokens(issuers: Sequence[Issuer]) -> AccessTokens:
    """Raises `SettingsError`."""
    try:
        return AccessTokens([(_trusted(each), key_ring(each)) for each in issuers])
    except ValueError as error:
        raise SettingsError(f"identity.issuers: {error}") from error


def authenticator(settings: Settings, tokens: AccessTokens, keys: ApiKeys, rooms: Iterable[Room]) -> Front:
    """Raises `SettingsError`."""
    surfaces = {
        room.surface: SurfaceAccess(
            anonymous=settings.surfaces[room.surface].anonymous,
            scopes=settings.surfaces[room.surface].scopes,
            resource_metadata=room.resource_metadata,
        )
        for room in rooms
    }
    return Front((keys, tokens), surfaces, end_user_header=settings.identity.end_user_header)


def _trusted(issuer: Issuer) -> TrustedIssuer:
    return TrustedIssuer(
        issuer=issuer.issuer,
        audiences=frozenset(issuer.audience),
        algorithms=frozenset(issuer.algorithms),
        groups_claim=issuer.groups_claim,
        scopes_claim=issuer.scopes_claim,
        agent_claim=issuer.agent_claim,
        claims=issuer.claims,
        leeway_s=issuer.leeway_s,
        any_typ=issuer.any_typ,
    )
