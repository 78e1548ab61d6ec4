"""Assertions: one for each request, signed with the newest key, verifiable with what the gateway publishes."""

import json
import logging
import os
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from gateway.adapters.credentials.assertion import AssertionCredential, Signer
from gateway.adapters.credentials.credential import Together
from gateway.adapters.credentials.secret import Fixed
from gateway.adapters.credentials.signing import FixedKeys, KeyFiles, SigningKeys
from gateway.adapters.credentials.static import StaticCredential
from gateway.errors import BackendFailed
from tests.adapters.backends.scripted import backends, done, http, legacy, messages, modern, run, scripted
from tests.adapters.issuing import Clock, asking, caller
from tests.identity.test_outbound import pem

GATEWAY, CRM = "https://gateway.example.com", "https://crm.example.com/mcp"
HEADER = "x-mcp-gateway-assertion"
ANN = caller("ann")


def verified(token: str, keys: SigningKeys) -> dict[str, Any]:
    """As a backend does it: by the published keys alone."""
    status, headers, body = keys.document()
    assert (status, headers["content-type"]) == (200, "application/jwk-set+json")
    found = jwt.PyJWKSet.from_dict(json.loads(body))[jwt.get_unverified_header(token)["kid"]]
    claims: dict[str, Any] = jwt.decode(token, found, algorithms=["ES256", "EdDSA"], audience=CRM, issuer=GATEWAY)
    assert jwt.get_unverified_header(token)["typ"] == "mcp-gateway-assertion+jwt"
    return claims


def test_each_request_carries_an_assertion_of_its_own_beside_the_gateways_credential() -> None:
    async def main() -> None:
        keys = FixedKeys.ephemeral()
        beside = AssertionCredential(Signer(keys, GATEWAY), CRM, beside=True)
        credential = Together([StaticCredential(Fixed("ours")), beside])
        async with scripted(modern(done)) as server, backends(http(server, credential=credential)) as behind:
            for decision in ("d1", "d2"):
                await messages(behind, asking(ANN, item_id="crm__act", decision_id=decision))
            assert not behind.scope("crm", "ann")
            first, *calls = [verified(each.headers[HEADER], keys) for each in server.received]
            assert (first["sub_type"], first["sub"], first["method"]) == ("gateway", GATEWAY, "server/discover")
            assert [(each["sub"], each["method"], each["item"], each["decision_id"]) for each in calls] == [
                ("ann", "tools/call", "crm__act", "d1"),
                ("ann", "tools/call", "crm__act", "d2"),
            ]
            assert len({each["jti"] for each in (first, *calls)}) == 3
            assert {each.headers["authorization"] for each in server.received} == {"Bearer ours"}

    run(main())


def test_what_the_gateway_says_within_a_subjects_session_it_says_as_that_subject_and_about_no_item() -> None:
    async def main() -> None:
        keys = FixedKeys.ephemeral()
        credential = AssertionCredential(Signer(keys, GATEWAY), CRM, header="Authorization")
        async with scripted(legacy(done, {"logging": {}})) as server:
            async with backends(http(server, credential=credential, stateless=True)) as behind:
                for name in ("ann", "bob"):
                    await messages(behind, asking(caller(name), item_id="crm__act", decision_id="d1", log_level="info"))
                assert behind.scope("crm", "ann") == "ann"
            said = []
            for each in server.received:
                claims = verified(each.headers["authorization"].removeprefix("Bearer "), keys)
                said.append((each.rpc or each.method, each.headers.get("mcp-session-id"), claims["sub"], claims.get("item")))
            of_ann = [
                ("initialize", None, "ann", None),
                ("notifications/initialized", "s1", "ann", None),
                ("logging/setLevel", "s1", "ann", None),
                ("tools/call", "s1", "ann", "crm__act"),
                ("DELETE", "s1", "ann", None),
            ]
            of_bob = [(method, session and "s2", "bob", item) for method, session, _, item in of_ann]
            assert [each for each in said if each[2] == "ann"] == of_ann
            assert [each for each in said if each[2] == "bob"] == of_bob
            assert said[0] == ("server/discover", None, GATEWAY, None)

    run(main())


@pytest.mark.parametrize("folder", [False, True], ids=["file", "folder"])
def test_the_newest_key_signs_all_are_published_and_an_old_one_goes_when_it_is_taken_away(tmp_path: Path, folder: bool) -> None:
    old, new = pem(ec.generate_private_key(ec.SECP256R1())), pem(ed25519.Ed25519PrivateKey.generate())
    place, clock = tmp_path / "keys", Clock()

    def put(*keys: str) -> None:
        if not folder:
            place.write_text("".join(keys))
            return
        for each in place.glob("*.pem"):
            each.unlink()
        for age, key in enumerate(keys):
            file = place / f"{9 - age}.pem"  # the age counts, not the name
            file.write_text(key)
            os.utime(file, (1000 + age, 1000 + age))

    async def main() -> None:
        put(old)
        keys = KeyFiles(place, clock_s=clock)
        credential = AssertionCredential(Signer(keys, GATEWAY), CRM)
        before = (await credential.headers(asking(ANN)))["X-MCP-Gateway-Assertion"]
        put(old, new)
        clock.now_s += 1
        after = (await credential.headers(asking(ANN)))["X-MCP-Gateway-Assertion"]
        assert [jwt.get_unverified_header(each)["alg"] for each in (before, after)] == ["ES256", "EdDSA"]
        assert [verified(each, keys)["sub"] for each in (before, after)] == ["ann", "ann"]
        put(new)
        clock.now_s += 1
        assert verified((await credential.headers(asking(ANN)))["X-MCP-Gateway-Assertion"], keys)["sub"] == "ann"
        with pytest.raises(KeyError):
            verified(before, keys)
        await keys.close()

    if folder:
        place.mkdir()
    run(main())


def test_without_a_key_nothing_is_sent_until_there_is_one_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    place, clock = tmp_path / "key.pem", Clock()
    text = pem(ec.generate_private_key(ec.SECP256R1()))
    place.write_text(text)

    async def main() -> None:
        keys = KeyFiles(place, clock_s=clock)
        credential = AssertionCredential(Signer(keys, GATEWAY), CRM)
        for spoil in (place.unlink, lambda: place.write_text(text[:60])):
            spoil()
            for _ in range(2):
                clock.now_s += 1
                with pytest.raises(BackendFailed) as failed:
                    await credential.headers(asking(ANN))
                assert (failed.value.cause, failed.value.sent) == ("credential", False)
        place.write_text(text)
        clock.now_s += 1
        assert await credential.headers(asking(ANN))
        await keys.close()

    with caplog.at_level(logging.DEBUG):
        run(main())
    assert [each.levelname for each in caplog.records if each.name == "gateway.credentials"] == ["ERROR", "ERROR"]
    assert text.splitlines()[1] not in caplog.text
