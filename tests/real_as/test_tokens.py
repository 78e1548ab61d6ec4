"""What the provider makes besides plain access tokens: ID tokens, opaque ones, and ones that are bound to a key."""

import httpx2

from tests.flows.running import soon
from tests.real_as.by_hand import Prover, logged_in
from tests.real_as.conftest import Town
from tests.real_as.house import DEPLOY, Bearer, refusal, text
from tests.real_as.provider import ERIN


def test_an_id_token_opens_nothing(town: Town) -> None:
    """It is for the client that its user logged in to, and not for whom that client then asks."""
    tokens = logged_in(town, ERIN, town.gateway.url, "openid deploy:read")
    with Bearer(town.gateway.url) as client:
        assert "not an access token" in refusal(client.call(tokens["id_token"], "deploy__services"))
        assert text(client.call(tokens["access_token"], "deploy__services")) == "billing"


def test_an_opaque_token_is_introspected_and_ends_when_it_is_revoked(town: Town) -> None:
    """https://www.rfc-editor.org/rfc/rfc7662"""
    url = town.gateway.surface("opaque")
    token = logged_in(town, ERIN, url, "deploy:read deploy:write")["access_token"]
    assert "." not in token
    with Bearer(url) as client:
        assert text(client.call(token, "deploy__deploy", DEPLOY)) == "web 1.4.2 is live in staging"
        line = [line for line in town.gateway.audit() if line["type"] == "outcome"][-1]
        subject = {name: line["subject"][name] for name in ("type", "issuer", "id", "groups", "scopes")}
        assert subject == {
            "type": "user",
            "issuer": town.provider.issuer,
            "id": ERIN,
            "groups": ["engineers"],
            "scopes": ["deploy:read", "deploy:write"],
        }
        httpx2.post(town.provider.metadata["revocation_endpoint"], data={"token": token, "client_id": line["agent"]})
        soon(lambda: client.call(token, "deploy__services").status_code == 401)
    with Bearer(town.gateway.url) as client:
        elsewhere = logged_in(town, ERIN, url, "deploy:read")["access_token"]
        assert "another audience" in refusal(client.call(elsewhere, "deploy__services"))


def test_a_made_up_opaque_token_opens_nothing_and_a_good_one_passes_beside_it(town: Town) -> None:
    url = town.gateway.surface("opaque")
    token = town.token(resource=url)
    with Bearer(url) as client:
        assert "is not active" in refusal(client.call(token[::-1], "deploy__services"))
        assert text(client.call(token, "deploy__services")) == "billing"


def test_a_token_bound_to_a_key_passes_with_a_proof_only_and_with_each_proof_once(town: Town) -> None:
    """https://www.rfc-editor.org/rfc/rfc9449"""
    url, prover, other = town.gateway.url, Prover(), Prover()
    tokens = logged_in(town, ERIN, url, "deploy:read", prover)
    token, method = tokens["access_token"], "POST"
    assert tokens["token_type"] == "DPoP"
    bound = {"Authorization": f"DPoP {token}"}
    proof = prover.proof(method, url, token)
    with Bearer(url) as client:
        assert text(client.call(token, "deploy__services", headers={**bound, "DPoP": proof})) == "billing"
        wrong = {
            "replayed": {**bound, "DPoP": proof},
            "another key's": {**bound, "DPoP": other.proof(method, url, token)},
            "for another method": {**bound, "DPoP": prover.proof("GET", url, token)},
            "for another surface": {**bound, "DPoP": prover.proof(method, town.gateway.surface("opaque"), token)},
            "for no token": {**bound, "DPoP": prover.proof(method, url)},
            "none": bound,
            "as bearer": {"DPoP": prover.proof(method, url, token)},
        }
        told = {name: refusal(client.call(token, "deploy__services", headers=headers)) for name, headers in wrong.items()}
        assert len(set(told.values())) == len(wrong), told  # each says what is wrong with it
        assert (
            text(client.call(token, "deploy__services", headers={**bound, "DPoP": prover.proof(method, url, token)})) == "billing"
        )
