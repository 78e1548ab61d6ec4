"""API keys: who they are, and that nothing about a wrong one can be learnt."""

import hashlib

import pytest

from gateway.identity.api_keys import ApiKey, by_id, issued, verified
from gateway.identity.grant import Grant, NamesUsers, Rejected
from gateway.model import Identity, Subject

ENTROPY = bytes(range(32))
TOKEN, SHA256 = issued("ci1", ENTROPY)
KEY = ApiKey("ci1", bytes.fromhex(SHA256), "ci", groups=("bots",), scopes=("mcp:read",), expires_at_s=1000.0)
KEYS = by_id([KEY])


def test_a_key_grants_what_its_entry_says() -> None:
    assert verified(TOKEN, KEYS, now_s=999.9) == Grant(
        Subject("workload", Identity("urn:mcp-gateway:keys", "ci"), "api_key", groups=("bots",), scopes=("mcp:read",)),
        agent_id="ci",
        surfaces=None,
        expires_at_s=1000.0,
        names_users=None,
        credential="key:ci1",
    )


def test_a_persons_key_has_no_agent() -> None:
    token, sha256 = issued("p1", ENTROPY)
    grant = verified(token, by_id([ApiKey("p1", bytes.fromhex(sha256), "alice", type="user")]), now_s=0)
    assert (grant.subject.type, grant.agent_id) == ("user", None)


def test_only_the_hash_is_kept() -> None:
    secret = TOKEN.split("_", 2)[2]
    assert (hashlib.sha256(secret.encode()).hexdigest() == SHA256, len(secret)) == (True, 43)


def test_a_wrong_secret_and_an_unknown_id_look_the_same() -> None:
    said = []
    for token in (TOKEN[:-1] + ("A" if TOKEN[-1] != "A" else "B"), TOKEN.replace("ci1", "ci2")):
        with pytest.raises(Rejected) as refused:
            verified(token, KEYS, now_s=0)
        said.append((refused.value.cause, refused.value.message))
    assert said[0] == said[1] == ("unknown_key", "This API key is not known here, or was revoked.")


def test_a_key_counts_until_its_expiry_and_only_its_holder_learns_of_it() -> None:
    with pytest.raises(Rejected) as refused:
        verified(TOKEN, KEYS, now_s=1000.0)
    assert refused.value.cause == "expired"
    with pytest.raises(Rejected) as refused:
        verified(TOKEN[:-4] + "AAAA", KEYS, now_s=1000.0)
    assert refused.value.cause == "unknown_key"


@pytest.mark.parametrize("token", ["mgw_", "mgw_ci1", "mgw_ci1_", "mgw_ci1_short", "mgw__" + "a" * 43, "mgw_c!_" + "a" * 43])
def test_a_token_of_another_shape_is_refused_even_if_its_hash_is_kept(token: str) -> None:
    key = ApiKey("ci1", hashlib.sha256(token.rpartition("_")[2].encode()).digest(), "ci")
    with pytest.raises(Rejected) as refused:
        verified(token, by_id([key]), now_s=0)
    assert refused.value.cause == "malformed"


def test_two_keys_of_one_subject_are_both_good_while_they_are_rotated() -> None:
    next_token, next_sha256 = issued("ci2", bytes(32))
    keys = by_id([KEY, ApiKey("ci2", bytes.fromhex(next_sha256), "ci")])
    assert {verified(token, keys, now_s=0).subject.identity.id for token in (TOKEN, next_token)} == {"ci"}


def test_two_keys_with_one_id_are_an_error() -> None:
    with pytest.raises(ValueError, match="two API keys have the id ci1"):
        by_id([KEY, KEY])


def test_a_person_may_not_be_trusted_to_name_users() -> None:
    with pytest.raises(ValueError, match="only a workload"):
        ApiKey("p", bytes(32), "alice", type="user", names_users=NamesUsers("https://id.example.com"))
