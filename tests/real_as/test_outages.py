"""The provider changes its keys, goes down and comes back: no valid request fails, and no invalid one passes."""

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.flows.running import soon
from tests.real_as.conftest import Town, founded
from tests.real_as.house import Bearer, refusal, text
from tests.real_as.provider import ERIN, new_key

CALLERS = 3


def forged(token: str) -> str:
    """The same claims under the same header, signed with a key of one's own."""
    claims = jwt.decode(token, options={"verify_signature": False})
    return jwt.encode(claims, own_key(), algorithm="RS256", headers=jwt.get_unverified_header(token))


def foreign(issuer: str) -> str:
    """What somebody can make up who has never seen a token."""
    return jwt.encode({"iss": issuer, "sub": ERIN}, own_key(), algorithm="RS256", headers={"kid": "theirs", "typ": "at+jwt"})


def own_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@contextmanager
def traffic(town: Town, *tokens: str) -> Iterator[Counter[int]]:
    """Callers that go on calling, with these tokens or with a fresh one each time; what they were answered, by status."""
    answered: Counter[int] = Counter()
    ending = threading.Event()

    def caller() -> None:
        with Bearer(town.gateway.url) as client:
            while not ending.is_set():
                for token in tokens or (town.token(),):
                    answered[client.call(token, "deploy__services").status_code] += 1

    with ThreadPoolExecutor(CALLERS) as callers:
        running = [callers.submit(caller) for _ in range(CALLERS)]
        try:
            yield answered
        finally:
            ending.set()
        for each in running:
            each.result(timeout=15)


def more(answered: Counter[int], number: int = 12) -> None:
    """Waits for so many further answers."""
    before = answered.total()
    soon(lambda: answered.total() >= before + number)


def test_a_rotation_fails_no_request_and_a_withdrawn_key_ends_with_the_next_set(town: Town) -> None:
    first, second, third = town.provider.settings["jwks"]["keys"][0], new_key("second"), new_key("third")
    old = town.token()
    with traffic(town) as fresh, traffic(town, old) as remembered:
        more(fresh)
        town.provider.sign_with(second, first)  # at once, without announcing the new key for a while
        more(fresh)
        more(remembered)
    assert (set(fresh), set(remembered)) == ({200}, {200})
    with Bearer(town.gateway.url) as client:
        assert text(client.call(town.token(), "deploy__services")) == "billing"
        town.provider.sign_with(third)  # both others are withdrawn
        assert text(client.call(town.token(), "deploy__services")) == "billing"
        assert "signing key is not among" in refusal(client.call(old, "deploy__services"))


def test_while_the_provider_is_down_good_tokens_pass_and_forged_ones_do_not(town: Town) -> None:
    shown, unshown, doomed = town.token(), town.token(), town.token()
    with Bearer(town.gateway.url) as client:
        assert client.call(shown, "deploy__services").status_code == 200
        with traffic(town, shown) as answered:
            town.provider.kill()
            more(answered)
            assert client.call(unshown, "deploy__services").status_code == 200  # its key is known
            assert "signature is wrong" in refusal(client.call(forged(doomed), "deploy__services"))
            town.provider.settings["jwks"] = {"keys": [new_key("after"), *town.provider.settings["jwks"]["keys"]]}
            town.provider.start()  # with a new key, which it signs with from its first moment on
            assert client.call(town.token(), "deploy__services").status_code == 200
            assert "signature is wrong" in refusal(client.call(forged(town.token()), "deploy__services"))
            more(answered)
        assert set(answered) == {200}


def test_a_gateway_that_starts_before_its_provider_refuses_until_it_is_there_and_heals_by_itself(
    node: str, tmp_path: Path
) -> None:
    with founded(node, tmp_path, provider_up=False) as town, Bearer(town.gateway.url) as client:
        assert "keys of the token's issuer cannot be had" in refusal(
            client.call(foreign(town.provider.issuer), "deploy__services")
        )
        town.provider.start()
        token = town.token()
        soon(lambda: client.call(token, "deploy__services").status_code == 200)
        assert "signing key is not among" in refusal(client.call(foreign(town.provider.issuer), "deploy__services"))
        assert "Traceback" not in town.gateway.log
