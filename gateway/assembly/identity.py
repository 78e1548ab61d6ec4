"""Who asks: from settings to the authenticator."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from gateway.adapters.authenticator import AccessTokens, ApiKeys, Front, SurfaceAccess
from gateway.assembly.issuers import key_ring
from gateway.front.endpoint import Room
from gateway.identity.api_keys import ApiKey
from gateway.identity.grant import NamesUsers
from gateway.identity.tokens import TrustedIssuer
from gateway.settings.identity import ApiKey as ApiKeySetting
from gateway.settings.identity import Issuer
from gateway.settings.load import SettingsError
from gateway.settings.model import Settings


def access_tokens(issuers: Sequence[Issuer]) -> AccessTokens:
    """Raises `SettingsError`."""
    try:
        return AccessTokens([(_trusted(each), key_ring(each)) for each in issuers])
    except ValueError as error:
        raise SettingsError(f"identity.issuers: {error}") from error


def authenticator(settings: Settings, tokens: AccessTokens, rooms: Iterable[Room]) -> Front:
    """Raises `SettingsError`."""
    surfaces = {
        room.surface: SurfaceAccess(
            anonymous=settings.surfaces[room.surface].anonymous,
            scopes=settings.surfaces[room.surface].scopes,
            resource_metadata=room.resource_metadata,
        )
        for room in rooms
    }
    return Front((api_keys(settings), tokens), surfaces, end_user_header=settings.identity.end_user_header)


def api_keys(settings: Settings) -> ApiKeys:
    try:
        return ApiKeys(_api_key(each) for each in settings.identity.api_keys)
    except ValueError as error:
        raise SettingsError(f"identity.api_keys: {error}") from error


def _api_key(key: ApiKeySetting) -> ApiKey:
    expires_at_s = None
    if key.expires is not None:
        expires = datetime.fromisoformat(key.expires)
        if expires.tzinfo is None:
            raise ValueError(f"{key.id}: expires needs a zone, as in 2030-01-31T00:00:00Z")
        expires_at_s = expires.timestamp()
    issuer = key.user_issuer or f"urn:workload:{key.subject}"  # not the key's id: a rotated key names the same users
    return ApiKey(
        id=key.id,
        sha256=bytes.fromhex(key.sha256),
        subject_id=key.subject,
        type=key.type,
        groups=key.groups,
        scopes=key.scopes,
        surfaces=None if key.surfaces is None else frozenset(key.surfaces),
        expires_at_s=expires_at_s,
        names_users=NamesUsers(issuer, key.user_groups) if key.names_users else None,
    )


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
