"""Workloads at the front door: tokens as Kubernetes, GitHub Actions and SPIRE issue them, client certificates, and end users
that each kind of workload names; and an address whose logins fail and fail.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from jwt.algorithms import RSAAlgorithm

from gateway.adapters.access_tokens import AccessTokens
from gateway.adapters.authenticator import ApiKeys, Front, Strangers, SurfaceAccess
from gateway.adapters.certificates import Certificates
from gateway.adapters.failed_logins import FailedLogins
from gateway.adapters.jwks import FileSource, KeyRing
from gateway.errors import Kind, Refusal
from gateway.identity.api_keys import ApiKey, issued
from gateway.identity.grant import NamesUsers
from gateway.identity.surfaces import check_surface
from gateway.identity.tokens import TrustedIssuer
from gateway.identity.workloads import TrustedWorkloads
from gateway.model import Caller, Identity, Json, Presented, Subject

NOW_S = 1_800_000_000
URL = "https://mcp.example.com/mcp"
SURFACES = {
    "default": SurfaceAccess(resource=URL),
    "ops": SurfaceAccess(resource=URL + "/ops"),
    "open": SurfaceAccess(resource=URL + "/open", anonymous=True),
}
SIGNING = rsa.generate_private_key(65537, 2048)
HOLDER = ec.generate_private_key(ec.SECP256R1())
DESK = "spiffe://example.org/ns/prod/sa/desk"
DESKS = TrustedWorkloads("spiffe://example.org/ns/prod/sa/*", groups=("bots",), names_users=True, user_groups=("support",))
KEY, SHA256 = issued("desk1", bytes(range(32)))
DESK_KEY = ApiKey("desk1", bytes.fromhex(SHA256), "desk", names_users=NamesUsers("urn:workload:desk", ("support",)))

# as documented: Kubernetes "Managing Service Accounts" (bound tokens), GitHub "OpenID Connect reference", SPIFFE JWT-SVID 3
KUBERNETES = (
    {"alg": "RS256", "kid": "k"},
    {
        "aud": [URL],
        "exp": NOW_S + 600,
        "iat": NOW_S,
        "nbf": NOW_S,
        "iss": "https://kubernetes.default.svc.cluster.local",
        "jti": "ea28ed49-2e11-4280-9ec5-bc3d1d84661a",
        "kubernetes.io": {
            "namespace": "prod",
            "node": {"name": "n1", "uid": "58456cb0-dd00-45ed-b797-5578fdceaced"},
            "pod": {"name": "desk-69cbfb9798-jv9gn", "uid": "778a530c-b3f4-47c0-9cd5-ab018fb64f33"},
            "serviceaccount": {"name": "desk", "uid": "a087d5a0-e1dd-43ec-93ac-f13d89cd13af"},
            "warnafter": NOW_S + 300,
        },
        "sub": "system:serviceaccount:prod:desk",
    },
)
GITHUB = (
    {"typ": "JWT", "alg": "RS256", "x5t": "example-thumbprint", "kid": "k"},
    {
        "jti": "example-id",
        "sub": "repo:octo-org/octo-repo:environment:prod",
        "environment": "prod",
        "aud": URL,
        "ref": "refs/heads/main",
        "sha": "example-sha",
        "repository": "octo-org/octo-repo",
        "repository_owner": "octo-org",
        "actor_id": "12",
        "run_id": "example-run-id",
        "actor": "octocat",
        "event_name": "workflow_dispatch",
        "ref_type": "branch",
        "job_workflow_ref": "octo-org/octo-automation/.github/workflows/oidc.yml@refs/heads/main",
        "iss": "https://token.actions.githubusercontent.com",
        "nbf": NOW_S,
        "exp": NOW_S + 900,
        "iat": NOW_S,
    },
)
SPIFFE = (
    {"alg": "RS256", "kid": "k", "typ": "JWT"},
    {"aud": [URL], "exp": NOW_S + 300, "iat": NOW_S, "iss": "https://oidc.example.org", "sub": DESK},
)
RULES: Mapping[str, TrustedIssuer] = {
    "kubernetes": TrustedIssuer(
        "https://kubernetes.default.svc.cluster.local",
        any_typ=True,
        optional_claims=frozenset({"client_id"}),
        subject_type="workload",
        claims=("/kubernetes.io/serviceaccount/name", "/kubernetes.io/namespace"),
        workloads=(
            TrustedWorkloads(
                "system:serviceaccount:prod:*",
                groups=("bots",),
                surfaces=frozenset({"default"}),
                names_users=True,
                user_groups=("support",),
            ),
        ),
    ),
    "github": TrustedIssuer(
        "https://token.actions.githubusercontent.com",
        any_typ=True,
        optional_claims=frozenset({"client_id"}),
        subject_type="workload",
        claims=("repository", "job_workflow_ref"),
        workloads=(TrustedWorkloads("repo:octo-org/*:environment:prod", groups=("releases",)),),
    ),
    "spiffe": TrustedIssuer(
        "https://oidc.example.org",
        any_typ=True,
        optional_claims=frozenset({"client_id", "jti"}),
        subject_type="workload",
        workloads=(DESKS,),
    ),
}


def _run(test: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(15):
            await test()

    asyncio.run(bounded())


def _token(shape: tuple[Mapping[str, Any], Mapping[str, Any]], **more: Any) -> str:
    headers = dict(shape[0])
    return jwt.encode({**shape[1], **more}, SIGNING, algorithm="RS256", headers={"typ": None, **headers})


def _certificate(uri: str = DESK) -> bytes:
    name = x509.Name([])
    begin = datetime.fromtimestamp(NOW_S, UTC) - timedelta(minutes=1)
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)])
    building = x509.CertificateBuilder(name, name, HOLDER.public_key(), 1, begin, begin + timedelta(hours=1))
    return building.add_extension(names, critical=True).sign(HOLDER, hashes.SHA256()).public_bytes(Encoding.DER)


def _keys(folder: Path) -> Path:
    keys = {"keys": [{**RSAAlgorithm.to_jwk(SIGNING.public_key(), as_dict=True), "kid": "k"}]}
    (folder / "keys.json").write_text(json.dumps(keys))
    return folder / "keys.json"


def _front(
    folder: Path | None = None, *rules: TrustedIssuer, per_minute: int = 0, now: Callable[[], float] = lambda: NOW_S
) -> Front:
    methods: list[Any] = [ApiKeys([DESK_KEY])]
    if folder is not None:
        methods.append(AccessTokens([(each, KeyRing(FileSource(_keys(folder)))) for each in rules]))
    strangers = Strangers(Certificates([DESKS]), FailedLogins(per_minute, clock_s=now))
    return Front(methods, SURFACES, strangers=strangers, clock_s=now)


async def _caller(
    front: Front,
    token: str | None = None,
    *,
    surface: str = "default",
    certificate: bytes | None = None,
    user: str | None = None,
    address: str = "192.0.2.7",
) -> Caller:
    headers = [("authorization", f"Bearer {token}")] if token else []
    headers += [("x-end-user", user)] if user else []
    return await front.authenticate(Presented(headers, "POST", address, certificate), surface=surface)


async def _refusal(front: Front, token: str | None = None, **how: Any) -> Refusal:
    with pytest.raises(Refusal) as refused:
        await _caller(front, token, **how)
    return refused.value


async def _verifying(folder: Path, name: str) -> tuple[Front, AccessTokens]:
    """A front whose issuer's keys are there."""
    front = _front(folder, RULES[name])
    tokens = front._methods[1]
    assert isinstance(tokens, AccessTokens)
    tokens.start()
    return front, tokens


# --- tokens -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "shape", "groups", "claims"),
    [
        (
            "kubernetes",
            KUBERNETES,
            ("bots",),
            {"/kubernetes.io/serviceaccount/name": "desk", "/kubernetes.io/namespace": "prod"},
        ),
        (
            "github",
            GITHUB,
            ("releases",),
            {
                "repository": "octo-org/octo-repo",
                "job_workflow_ref": "octo-org/octo-automation/.github/workflows/oidc.yml@refs/heads/main",
            },
        ),
        ("spiffe", SPIFFE, ("bots",), {}),
    ],
)
def test_a_token_of_a_platform_is_its_workload(
    tmp_path: Path, name: str, shape: tuple[dict[str, Any], dict[str, Any]], groups: tuple[str, ...], claims: dict[str, Json]
) -> None:
    async def main() -> None:
        front, tokens = await _verifying(tmp_path, name)
        try:
            caller = await _caller(front, _token(shape))
        finally:
            await tokens.close()
        id = shape[1]["sub"]
        identity = Identity(RULES[name].issuer, id)
        assert caller.subject == Subject(
            "workload", identity, "jwt", groups=groups, claims=claims, assurance={"token_issued_ns": NOW_S * 10**9}
        )
        assert caller.agent_id == id

    _run(main)


@pytest.mark.parametrize(
    ("name", "shape", "sub"),
    [
        ("kubernetes", KUBERNETES, "system:serviceaccount:test:desk"),
        ("kubernetes", KUBERNETES, "system:node:n1"),
        ("github", GITHUB, "repo:evil-org/octo-repo:environment:prod"),
        ("github", GITHUB, "repo:octo-org/octo-repo:pull_request"),
        ("spiffe", SPIFFE, "spiffe://example.org/ns/prod/sa/desk/deeper"),
    ],
)
def test_a_workload_that_no_rule_expects_is_refused(tmp_path: Path, name: str, shape: Any, sub: str) -> None:
    async def main() -> None:
        front, tokens = await _verifying(tmp_path, name)
        try:
            refused = await _refusal(front, _token(shape, sub=sub))
        finally:
            await tokens.close()
        assert (refused.kind, refused.cause) == (Kind.UNAUTHENTICATED, "workload")
        assert sub not in refused.message + str(refused.headers)

    _run(main)


@pytest.mark.parametrize(("name", "shape"), [("kubernetes", KUBERNETES), ("github", GITHUB), ("spiffe", SPIFFE)])
def test_without_its_named_departures_such_a_token_is_none(tmp_path: Path, name: str, shape: Any) -> None:
    async def main() -> None:
        front = _front(tmp_path, TrustedIssuer(RULES[name].issuer))
        tokens = front._methods[1]
        assert isinstance(tokens, AccessTokens)
        tokens.start()
        try:
            assert (await _refusal(front, _token(shape))).cause == "type"
        finally:
            await tokens.close()

    _run(main)


def test_a_workloads_rule_bounds_the_surfaces_that_its_token_is_good_for(tmp_path: Path) -> None:
    async def main() -> None:
        front, tokens = await _verifying(tmp_path, "kubernetes")
        try:
            caller = await _caller(front, _token(KUBERNETES, aud=URL + "/ops"), surface="ops")
        finally:
            await tokens.close()
        with pytest.raises(Refusal) as refused:
            check_surface(caller, "ops")
        assert (refused.value.kind, refused.value.cause) == (Kind.FORBIDDEN_SURFACE, "credential_surface")

    _run(main)


# --- certificates -----------------------------------------------------------------------------------------------------


def test_a_certificate_alone_is_its_workload() -> None:
    async def main() -> None:
        caller = await _caller(_front(), certificate=_certificate())
        assert caller.subject == Subject("workload", Identity("spiffe://example.org", DESK), "mtls", groups=("bots",))
        assert (caller.agent_id, caller.expires_at_s, caller.credential[:5]) == (DESK, NOW_S + 3540, "mtls:")

    _run(main)


def test_beside_a_token_the_certificate_names_nobody() -> None:
    async def main() -> None:
        caller = await _caller(_front(), KEY, certificate=_certificate())
        assert (caller.subject.identity.id, caller.subject.authentication) == ("desk", "api_key")
        refused = await _refusal(_front(), KEY[:-4] + "AAAA", certificate=_certificate())
        assert refused.cause == "unknown_key"

    _run(main)


@pytest.mark.parametrize("surface", ["default", "open"])
def test_a_certificate_that_is_not_expected_is_refused_everywhere_and_no_token_blamed(surface: str) -> None:
    async def main() -> None:
        refused = await _refusal(_front(), certificate=_certificate("spiffe://evil.test/ns/prod/sa/desk"), surface=surface)
        assert (refused.kind, refused.cause) == (Kind.UNAUTHENTICATED, "client_certificate")
        assert "error" not in refused.headers["WWW-Authenticate"]
        assert "evil" not in refused.message

    _run(main)


def test_a_certificate_that_ended_while_its_connection_stands_is_refused() -> None:
    async def main() -> None:
        now_s = [float(NOW_S)]
        front = _front(now=lambda: now_s[0])
        der = _certificate()
        assert (await _caller(front, certificate=der)).agent_id == DESK
        now_s[0] += 3540
        assert (await _refusal(front, certificate=der)).cause == "client_certificate"

    _run(main)


# --- end users --------------------------------------------------------------------------------------------------------


def test_every_kind_of_trusted_workload_may_name_its_end_user(tmp_path: Path) -> None:
    async def main() -> None:
        front, tokens = await _verifying(tmp_path, "kubernetes")
        try:
            callers = {
                "desk": await _caller(front, KEY, user="ada"),
                "system:serviceaccount:prod:desk": await _caller(front, _token(KUBERNETES), user="ada"),
                DESK: await _caller(front, certificate=_certificate(), user="ada"),
            }
        finally:
            await tokens.close()
        for workload, caller in callers.items():
            assert (caller.subject.type, caller.subject.authentication, caller.agent_id) == ("user", "asserted", workload)
            assert caller.subject.identity == Identity(f"urn:workload:{workload}", "ada")
            assert (caller.subject.groups, [actor.id for actor in caller.subject.actors]) == (("support",), [workload])
        # the workload's own token, by which its streams are authorised again: never the user's to be exchanged
        assert [caller.token is not None for caller in callers.values()] == [False, True, False]
        assert [caller.credential[:4] for caller in callers.values()] == ["key:", "jwt:", "mtls"]

    _run(main)


def test_a_workload_that_is_not_trusted_for_it_may_not(tmp_path: Path) -> None:
    async def main() -> None:
        front, tokens = await _verifying(tmp_path, "github")
        try:
            assert (await _refusal(front, _token(GITHUB), user="ada")).cause == "end_user"
        finally:
            await tokens.close()

    _run(main)


# --- failed logins ----------------------------------------------------------------------------------------------------


def test_an_address_that_fails_and_fails_is_told_to_wait_and_costs_no_verification(tmp_path: Path) -> None:
    async def main() -> None:
        now_s = [float(NOW_S)]
        front = _front(tmp_path, RULES["github"], per_minute=3, now=lambda: now_s[0])
        tokens = front._methods[1]
        assert isinstance(tokens, AccessTokens)
        tokens.start()
        known, fresh = _token(GITHUB), _token(GITHUB, jti="another")
        unsigned = fresh[:-8] + "AAAAAAAA"
        strange = _token(({**GITHUB[0], "kid": "strange"}, GITHUB[1]))
        try:
            await _caller(front, known)
            for _ in range(3):
                assert (await _refusal(front, known[:-8] + "AAAAAAAA")).kind is Kind.UNAUTHENTICATED
            now_s[0] += 12.5
            for wrong in (unsigned, fresh, strange, KEY[:-4] + "AAAA", "nothing"):
                refused = await _refusal(front, wrong)
                assert (refused.kind, refused.status("modern"), refused.cause) == (Kind.TOO_MANY_LOGINS, 429, "too_many_failures")
                assert refused.headers == {"Retry-After": "48"}
            assert (await _caller(front, known)).subject.type == "workload"  # was good before
            assert (await _caller(front, KEY)).agent_id == "desk"  # compared, not verified
            assert (await _caller(front, certificate=_certificate())).agent_id == DESK  # verified by the listener
            assert (await _refusal(front)).cause == "no_credential"  # nothing was tried
            assert (await _caller(front, fresh, address="192.0.2.8")).subject.type == "workload"
            now_s[0] += 47.5
            assert (await _caller(front, fresh)).subject.type == "workload"
        finally:
            await tokens.close()

    _run(main)


def test_a_stranger_does_not_shut_out_those_who_share_its_address(tmp_path: Path) -> None:
    async def main() -> None:
        now_s = [float(NOW_S)]
        front = _front(tmp_path, RULES["github"], per_minute=3, now=lambda: now_s[0])
        tokens = front._methods[1]
        assert isinstance(tokens, AccessTokens)
        tokens.start()
        known = _token(GITHUB)
        colleagues = [_token(GITHUB, jti=f"colleague-{number}") for number in range(3)]
        try:
            began = await _caller(front, known)
            now_s[0] += 301
            for _ in range(3):
                assert (await _refusal(front, "nothing")).cause == "unrecognised"
            assert await _caller(front, known) == began, "no more remembered, and yet no guess"
            assert (await _refusal(front, _token(({**GITHUB[0], "kid": "strange"}, GITHUB[1])))).cause == "too_many_failures"
            assert (await _caller(front, colleagues[0])).subject == began.subject, "names a known key: two of such in a second"
            assert (await _refusal(front, colleagues[1])).cause == "too_many_failures"
            now_s[0] += 0.5
            assert (await _caller(front, colleagues[1])).subject == began.subject
            now_s[0] += 0.5
            assert (await _refusal(front, known[:-8] + "AAAAAAAA")).cause == "too_many_failures", "its signature was looked at"
            assert (await _refusal(front, colleagues[2])).cause == "too_many_failures", "and it took the place of another"
            assert await _caller(front, known) == began
        finally:
            await tokens.close()

    _run(main)
