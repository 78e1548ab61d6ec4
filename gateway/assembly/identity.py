"""Who asks: from settings to the authenticator."""

import time
from collections.abc import Iterable, Sequence

from gateway.adapters.authenticator import ApiKeys, Front, Strangers, SurfaceAccess
from gateway.adapters.proofs import ProofBounds, Proofs
from gateway.assembly import workloads
from gateway.assembly.issuers import Issuers
from gateway.front.endpoint import Room
from gateway.identity.challenge import surface_path
from gateway.identity.dpop import ProofRules
from gateway.identity.resource import normalised
from gateway.identity.tokens import TrustedIssuer
from gateway.settings.identity import Issuer
from gateway.settings.load import SettingsError
from gateway.settings.model import Settings


def access_tokens(issuers: Sequence[Issuer]) -> Issuers:
    """Raises `SettingsError`."""
    try:
        return Issuers([(each, _trusted(each)) for each in issuers])
    except ValueError as error:
        raise SettingsError(f"identity.issuers: {error}") from error


def authenticator(
    settings: Settings, tokens: Issuers, keys: ApiKeys, rooms: Iterable[Room], public_url: str, strangers: Strangers
) -> Front:
    """Raises `SettingsError`."""
    surfaces = {
        room.surface: SurfaceAccess(
            resource=_resource(public_url, room.surface),
            anonymous=settings.surfaces[room.surface].anonymous,
            scopes=settings.surfaces[room.surface].scopes,
            resource_metadata=room.resource_metadata,
        )
        for room in rooms
    }
    header = settings.identity.end_user_header
    return Front((keys, *tokens.methods), surfaces, end_user_header=header, proofs=_proofs(settings), strangers=strangers)


def _resource(public_url: str, surface: str) -> str:
    """The surface's canonical URI, in the form in which it is compared. Raises `SettingsError`."""
    uri = normalised(public_url.rstrip("/") + surface_path(surface))
    if uri is None:
        raise SettingsError(f"listen: no token can be for {public_url}: name a plain http(s) URL in listen.public_url")
    return uri


def _proofs(settings: Settings) -> Proofs:
    dpop = settings.identity.dpop
    return Proofs(
        ProofRules(frozenset(dpop.algorithms), dpop.window_s),
        ProofBounds(dpop.max_proofs, dpop.max_proofs_per_key),
        announced=any(issuer.dpop != "accepted" for issuer in settings.identity.issuers),
        since_s=time.time(),
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
        optional_claims=frozenset(issuer.missing_claims_allowed),
        dpop=issuer.dpop,
        subject_type=issuer.subject_type,
        workloads=tuple(workloads.trusted(each) for each in issuer.workloads),
    )
