"""Proofs of possession, each accepted once: a token that is bound to a key is good only in the hands that hold the key.

What was accepted is remembered for as long as it could be shown again. The memory is bounded, for each key and in all;
where there is no room for one more proof, it is refused. It ends with the process: a proof from before its start is refused.
"""

import hashlib
from collections import Counter, OrderedDict
from dataclasses import dataclass

from gateway.identity import binding, dpop
from gateway.identity.credential import Sent
from gateway.identity.dpop import Proof, ProofRules, Proven
from gateway.identity.grant import Grant, Rejected
from gateway.model import Presented

KEY_BYTES = 16  # of a hash: enough to tell proofs apart that took a signature to make


@dataclass(frozen=True, slots=True)
class ProofBounds:
    """How many proofs are remembered. 100,000 take 20 MB; 10,000 of one key are 80 requests a second."""

    in_all: int = 100_000
    per_key: int = 10_000


@dataclass(frozen=True, slots=True)
class _Kept:
    until_s: float
    jkt: str


class ProofMemory:
    """The proofs seen within the window."""

    def __init__(self, *, keep_s: float, bounds: ProofBounds) -> None:
        self._keep_s = keep_s
        self._bounds = bounds
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()  # in the order in which they end
        self._of_key: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._kept)

    def remember(self, proof: Proof, *, now_s: float) -> None:
        """Raises `Rejected` for one that was seen, and for any when there is no room."""
        self._forget(now_s)
        name = hashlib.sha256(f"{proof.jkt}\x1f{proof.jti}".encode()).digest()[:KEY_BYTES]
        if name in self._kept:
            raise Rejected("proof_replayed", "The DPoP proof was used before: make a new one for each request.")
        if len(self._kept) >= self._bounds.in_all or self._of_key[proof.jkt] >= self._bounds.per_key:
            raise Rejected("proofs_full", "Too many proofs were sent of late: try again in a minute.")
        self._kept[name] = _Kept(now_s + self._keep_s, proof.jkt)
        self._of_key[proof.jkt] += 1

    def _forget(self, now_s: float) -> None:
        while self._kept:
            name, kept = next(iter(self._kept.items()))
            if now_s <= kept.until_s:
                return
            del self._kept[name]
            self._of_key[kept.jkt] -= 1
            if not self._of_key[kept.jkt]:
                del self._of_key[kept.jkt]


class Proofs:
    """Whether a request proves what its credential is bound to."""

    def __init__(
        self,
        rules: ProofRules | None = None,
        bounds: ProofBounds | None = None,
        *,
        announced: bool = False,
        since_s: float = float("-inf"),
    ) -> None:
        """`since_s`: when the process began (Unix time)."""
        self._since_s = since_s
        self.rules = rules or ProofRules()
        self.announced = announced  # challenges say that DPoP is spoken here
        # shown from `window_s` before its own time until `window_s` after it
        self._memory = ProofMemory(keep_s=2 * self.rules.window_s, bounds=bounds or ProofBounds())

    def check(self, grant: Grant, sent: Sent, presented: Presented, *, resource: str, now_s: float) -> None:
        """Raises `Rejected` unless each key that the credential is bound to is shown, and no proof is sent in vain."""
        bound_to = grant.confirmation
        if bound_to is not None and bound_to.x5t_s256 is not None:
            binding.check_certificate(bound_to.x5t_s256, presented.certificate)
        if bound_to is None or bound_to.jkt is None:
            if sent.scheme == "dpop":  # RFC 9449 7.1: it believes to be protected and is not
                raise Rejected("unbound", "This credential is not bound to a DPoP key: ask for a token with a DPoP proof.")
            return
        if sent.scheme != "dpop":  # RFC 9449 7.2
            raise Rejected("bound", "The token is bound to a key: send it as 'Authorization: DPoP <token>' with a DPoP proof.")
        proven = Proven(presented.method, resource, sent.token, bound_to.jkt)
        proof = dpop.verified(dpop.proof_sent(presented.headers), proven, self.rules, now_s=now_s)
        if proof.issued_s < self._since_s:
            raise Rejected("proof_unremembered", "The DPoP proof is from before the gateway's start: make a new one.")
        self._memory.remember(proof, now_s=now_s)
