"""What binds a credential to a key (`cnf`, RFC 7800), and the proof by client certificate (RFC 8705).

A binding that is not understood refuses the credential: to overlook it would make a stolen token good again.
"""

import base64
import hashlib
import hmac
import re

from gateway.identity.grant import Confirmation, Rejected
from gateway.model import Json

_SHA256 = re.compile(r"[A-Za-z0-9_-]{43}")  # of 32 bytes, base64url without padding


def confirmation(cnf: Json) -> Confirmation:
    """The keys that a `cnf` claim, or the one of an introspected token, names. Raises `Rejected`."""
    if not isinstance(cnf, dict) or not cnf or not cnf.keys() <= {"jkt", "x5t#S256"}:
        raise Rejected("bound", "The token is bound to its holder in a way that is not known here (jkt and x5t#S256 are).")
    if not all(isinstance(value, str) and _SHA256.fullmatch(value) for value in cnf.values()):
        raise Rejected("bound", "The token's 'cnf' claim must hold SHA-256 thumbprints.")
    jkt, x5t_s256 = cnf.get("jkt"), cnf.get("x5t#S256")
    return Confirmation(jkt if isinstance(jkt, str) else None, x5t_s256 if isinstance(x5t_s256, str) else None)


def check_certificate(thumbprint: str, certificate: bytes | None) -> None:
    """Raises `Rejected` unless `certificate` (DER) is the one that the token is bound to."""
    if certificate is None or not hmac.compare_digest(digest(certificate), thumbprint):
        raise Rejected("certificate", "The token is bound to a client certificate: use it on a connection with that certificate.")


def digest(shown: bytes) -> str:
    """SHA-256 as JOSE writes it: base64url without padding."""
    return base64.urlsafe_b64encode(hashlib.sha256(shown).digest()).rstrip(b"=").decode()
