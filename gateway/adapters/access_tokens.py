"""JWTs of any number of trusted issuers: verified once, remembered by their hash, never by themselves.

What is remembered dies with the very key that it was verified with, whatever else its issuer publishes, and opens only the
surfaces that its audience names: the audience is judged on every request.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gateway.adapters.authenticator import Promise
from gateway.adapters.jwks import KeyRing
from gateway.adapters.once_good import OnceGood
from gateway.identity import tokens
from gateway.identity.claims import granted
from gateway.identity.grant import Grant, Rejected
from gateway.identity.signing_keys import KeySet, SigningKey
from gateway.identity.tokens import TrustedIssuer, Unverified
from gateway.model import Caller

MAX_REMEMBERED = 10_000
REMEMBERED_S = 300.0  # a revoked signing key counts no longer than this; a removed one not at all
NAME_HEX = 16  # of the token's hash: names it in records; the token is far too random to be found from it


@dataclass(slots=True)
class _Signed:
    """By which key a token is signed, and the newest of the issuer's sets that held it."""

    key: SigningKey
    keys: KeySet

    def by_one_of(self, ring: KeyRing) -> bool:
        if self.keys is ring.keys:
            return True
        if ring.keys is None or self.key not in ring.keys.keys:
            return False
        self.keys = ring.keys
        return True


@dataclass(frozen=True, slots=True)
class _Remembered:
    grant: Grant
    audiences: frozenset[str]
    rules: TrustedIssuer
    ring: KeyRing
    signed: _Signed
    until_s: float


class AccessTokens:
    """A method of authentication (see `authenticator.Method`)."""

    def __init__(self, issuers: Sequence[tuple[TrustedIssuer, KeyRing]], *, max_remembered: int = MAX_REMEMBERED) -> None:
        self._issuers: Mapping[str, tuple[TrustedIssuer, KeyRing]] = {rules.issuer: (rules, ring) for rules, ring in issuers}
        if len(self._issuers) != len(issuers):
            raise ValueError("two trusted issuers have the same name")
        self._max_remembered = max_remembered
        self._remembered: OrderedDict[bytes, _Remembered] = OrderedDict()
        self._checked: OrderedDict[bytes, _Signed] = OrderedDict()  # for what stays open
        self._once_good = OnceGood()

    def start(self) -> None:
        for _, ring in self._issuers.values():
            ring.start()

    async def close(self) -> None:
        for _, ring in self._issuers.values():
            await ring.close()

    def failures(self) -> Mapping[str, str]:
        """Issuers whose keys could not be renewed, and why: for readiness."""
        return {issuer: ring.failure for issuer, (_, ring) in self._issuers.items() if ring.failure is not None}

    def recognises(self, token: str) -> bool:
        return tokens.recognises(token)

    def promise(self, token: str, *, now_s: float) -> Promise:
        if self._once_good.holds(hashlib.sha256(token.encode()).digest(), now_s=now_s):
            return "known"
        try:
            read = tokens.read(token)
            rules, ring = self._issuers[read.issuer]
            tokens.check_header(read, rules)
        except (Rejected, KeyError):
            return "none"
        return "likely" if ring.keys is not None and tokens.has_key(read, ring.keys) else "none"

    async def verified(self, token: str, *, resource: str, now_s: float) -> Grant:
        digest = hashlib.sha256(token.encode()).digest()
        known = self._remembered.get(digest)
        if known is not None and now_s < known.until_s and known.signed.by_one_of(known.ring):
            self._remembered.move_to_end(digest)
        else:
            known = await self._reread(token, digest, now_s=now_s)
            self._remembered[digest] = known
            if len(self._remembered) > self._max_remembered:
                self._remembered.popitem(last=False)
        tokens.check_audience(known.audiences, known.rules, resource=resource)
        return known.grant

    def still_good(self, caller: Caller, surface: str, *, now_s: float) -> bool:
        """No once its issuer's keys hold the one that it was signed with no more; checked once for each set of them."""
        if caller.token is None or not tokens.recognises(caller.token):
            return False
        digest = hashlib.sha256(caller.token.encode()).digest()
        known = self._remembered.get(digest)
        if known is not None and known.signed.by_one_of(known.ring):
            return True
        try:
            read = tokens.read(caller.token)
            _, ring = self._issuers[read.issuer]
            if ring.keys is None:
                return False
            checked = self._checked.get(digest)
            if checked is None or not checked.by_one_of(ring):
                self._checked[digest] = _Signed(tokens.check_signature(caller.token, read, ring.keys), ring.keys)
                if len(self._checked) > self._max_remembered:
                    self._checked.popitem(last=False)
        except (Rejected, KeyError):
            return False
        return True

    async def _reread(self, token: str, digest: bytes, *, now_s: float) -> _Remembered:
        self._remembered.pop(digest, None)
        try:
            known = await self._read(token, digest, now_s=now_s)
        except Rejected as rejected:
            if rejected.cause != "keys_unavailable":
                self._once_good.drop(digest)
            raise
        assert known.grant.expires_at_s is not None, "`_read` takes no token without its end"
        self._once_good.add(digest, until_s=known.grant.expires_at_s)
        return known

    async def _read(self, token: str, digest: bytes, *, now_s: float) -> _Remembered:
        read = tokens.read(token)
        trusted = self._issuers.get(read.issuer)
        if trusted is None:
            raise Rejected("issuer", "The token's issuer is not trusted here.")
        rules, ring = trusted
        tokens.check_header(read, rules)
        keys = await _keys_for(read, ring)
        signed = _Signed(tokens.check_signature(token, read, keys), keys)
        expires_at_s = tokens.check_claims(read, rules, now_s=now_s)
        grant = granted(read.claims, rules, expires_at_s=expires_at_s)
        named = replace(grant, credential=f"jwt:{digest.hex()[:NAME_HEX]}")
        until_s = min(expires_at_s, now_s + REMEMBERED_S)
        return _Remembered(named, tokens.audiences(read.claims), rules, ring, signed, until_s)


async def _keys_for(token: Unverified, ring: KeyRing) -> KeySet:
    keys = ring.keys
    if keys is None or not tokens.has_key(token, keys):
        keys = await ring.renewed(lambda renewed: tokens.has_key(token, renewed))
    if keys is None:
        raise Rejected("keys_unavailable", "The keys of the token's issuer cannot be had at the moment: try again later.")
    return keys
