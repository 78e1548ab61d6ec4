"""From verified claims to the subject that policies see. A claim that is misshapen refuses the token; none is guessed."""

from collections.abc import Mapping

from gateway.identity.binding import confirmation
from gateway.identity.grant import RESERVED_PREFIX, Grant, Rejected
from gateway.identity.tokens import TrustedIssuer, time_s
from gateway.identity.workloads import TrustedWorkloads, expecting
from gateway.model import Identity, Json, JsonObject, Subject

MAX_ID_CHARS = 1024
MAX_ACTORS = 8
NOTHING_MORE = TrustedWorkloads("any")  # than what the token says


def granted(claims: Mapping[str, Json], rules: TrustedIssuer, *, expires_at_s: float) -> Grant:
    """Whom the token stands for. Raises `Rejected`."""
    subject_id = _name(claims, "sub")
    if subject_id is None:
        raise Rejected("claims", "The token has no 'sub' claim, which an access token must have (RFC 9068).")
    agent_id = _name(claims, rules.agent_claim)
    if agent_id is None and "client_id" not in rules.optional_claims:
        raise Rejected("claims", f"The token has no {rules.agent_claim!r} claim, which must name the client (RFC 9068).")
    bound_to = confirmation(claims["cnf"]) if "cnf" in claims else None
    if bound_to is None and rules.dpop == "required":
        raise Rejected("unbound", "Only tokens that are bound to a key are accepted here: ask for one with a DPoP proof.")
    # RFC 9068 section 2.2: where no resource owner is involved, `sub` names the client itself
    workload = rules.subject_type == "workload" or subject_id == agent_id
    trusted = _expected(subject_id, rules) if workload else NOTHING_MORE
    subject = Subject(
        type="workload" if workload else "user",
        identity=Identity(rules.issuer, subject_id),
        authentication="jwt",
        groups=(*_words(claims, rules.groups_claim, separated=False), *trusted.groups),
        scopes=(*_words(claims, rules.scopes_claim, separated=True), *trusted.scopes),
        claims={name: value for name in rules.claims if (value := _at(claims, name)) is not None},
        assurance=_assurance(claims),
        actors=_actors(claims.get("act"), rules.issuer),
    )
    agent_id = agent_id or (subject_id if workload else None)
    users = trusted.users(subject_id)
    return Grant(subject, agent_id, trusted.surfaces, expires_at_s, users, confirmation=bound_to)


def _expected(subject_id: str, rules: TrustedIssuer) -> TrustedWorkloads:
    """What the workload may besides what its token says. Raises `Rejected`."""
    if not rules.workloads:
        return NOTHING_MORE
    rule = expecting(subject_id, rules.workloads)
    if rule is None:
        raise Rejected("workload", "The token stands for a workload that is not expected here.")
    return rule


def _name(claims: Mapping[str, Json], name: str) -> str | None:
    value = _at(claims, name)
    if value is None:
        return None
    if not isinstance(value, str) or not value or len(value) > MAX_ID_CHARS or not value.isprintable():
        raise Rejected("claims", f"The token's {name!r} claim must be a short, printable text.")
    return value


def _words(claims: Mapping[str, Json], name: str, *, separated: bool) -> tuple[str, ...]:
    """A list of texts, or one text: scopes are separated by blanks in it (RFC 8693 4.2), a group's name is whole."""
    value = _at(claims, name)
    if value is None:
        return ()
    if isinstance(value, str):
        return tuple(value.split(" ")) if separated and value else (value,) if value else ()
    if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
        raise Rejected("claims", f"The token's {name!r} claim must be a list of texts.")
    return tuple(one for one in value if isinstance(one, str))


def _at(claims: Mapping[str, Json], name: str) -> Json:
    """The claim of this name or, for a name that begins with `/`, at this JSON pointer (RFC 6901)."""
    if not name.startswith("/"):
        return claims.get(name)
    value: Json = dict(claims)
    for step in name[1:].split("/"):
        if not isinstance(value, dict):
            return None
        value = value.get(step.replace("~1", "/").replace("~0", "~"))
    return value


def _assurance(claims: Mapping[str, Json]) -> JsonObject:
    """How strongly and when the user authenticated, and how old the token is, as far as it says."""
    said: JsonObject = {}
    acr = _name(claims, "acr")
    if acr is not None:
        said["acr"] = acr
    methods = _words(claims, "amr", separated=False)  # RFC 8176
    if methods:
        said["amr"] = [*methods]
    for claim, name in (("auth_time", "authenticated_ns"), ("iat", "token_issued_ns")):
        moment_s = time_s(claims, claim)
        if moment_s is not None:
            said[name] = int(moment_s) * 1_000_000_000
    return said


def _actors(act: Json, issuer: str) -> tuple[Identity, ...]:
    """The delegation chain, nearest first (RFC 8693 4.1). An actor without issuer is of the token's."""
    actors: list[Identity] = []
    while act is not None:
        if not isinstance(act, dict) or len(actors) == MAX_ACTORS:
            raise Rejected("claims", f"The token's 'act' claim must be a chain of at most {MAX_ACTORS} actors.")
        actor_issuer = _name(act, "iss") or issuer
        actor_id = _name(act, "sub")
        if actor_id is None or actor_issuer.lower().startswith(RESERVED_PREFIX):
            raise Rejected("claims", "The token's 'act' claim names an actor that cannot be.")
        actors.append(Identity(actor_issuer, actor_id))
        act = act.get("act")
    return tuple(actors)
