"""Client certificates: the one URI in a certificate names its workload, and a rule of the settings must say that it may come.

The listener has verified the chain by its own CA. What is read here is only who it is, and whether it is valid right now:
a connection may outlive its certificate. No URI, two of them, or one that no rule expects names nobody.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509

from gateway.identity.grant import Grant, Rejected
from gateway.identity.workloads import TrustedWorkloads, expecting
from gateway.model import Identity, Subject

MAX_URI_CHARS = 2048  # SPIFFE-ID 2.3
NAME_HEX = 16  # of the certificate's hash: names it in records

_URI = re.compile(r"[a-z][a-z0-9+.\-]*:[A-Za-z0-9\-._~:/@!$&'()+,;=*]+")
"""Without escapes, queries, fragments and blanks: two spellings of one URI must not be two workloads, or one be two."""

_AUTHORITY = re.compile(r"([a-z][a-z0-9+.\-]*://[^/*]+)(?:/|\Z)")
NO_ISSUER = "name its `issuer`, since the URI has no scheme and authority that are always the same"


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a certificate says of its holder."""

    uri: str
    begins_s: float
    ends_s: float
    name: str  # names it in records


def check_rule(rule: TrustedWorkloads) -> None:
    """Raises `ValueError` unless certificates can fit the rule, and the issuer of those that do is known."""
    if not _URI.fullmatch(rule.name):
        raise ValueError(f"{rule.name}: must be a URI, maybe with `*`, and certificates have none that looks like this")
    if rule.issuer is None and not _AUTHORITY.match(rule.name):
        raise ValueError(f"{rule.name}: {NO_ISSUER}")


def read(der: bytes) -> Certificate:
    """Raises `Rejected`."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        uris = extension.value.get_values_for_type(x509.UniformResourceIdentifier)
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise _rejected("has no URI as a subject alternative name, by which workloads are known here") from error
    if len(uris) != 1:
        raise _rejected("must have exactly one URI as a subject alternative name")
    uri = uris[0]
    if len(uri) > MAX_URI_CHARS or not _URI.fullmatch(uri) or "*" in uri or _indirect(uri):
        raise _rejected("has a URI that cannot name a workload: plain characters, no query, no fragment, no empty segment")
    return Certificate(
        uri,
        certificate.not_valid_before_utc.timestamp(),
        certificate.not_valid_after_utc.timestamp(),
        "mtls:" + hashlib.sha256(der).hexdigest()[:NAME_HEX],
    )


def granted(certificate: Certificate, trusted: Sequence[TrustedWorkloads], *, now_s: float) -> Grant:
    """Whom the certificate stands for, by the first rule that it fits. Raises `Rejected`."""
    if not certificate.begins_s <= now_s < certificate.ends_s:
        raise _rejected("is not valid now: connect anew with a current one")
    rule = expecting(certificate.uri, trusted)
    if rule is None:
        raise _rejected("names a workload that is not trusted here")
    issuer = rule.issuer or _authority(certificate.uri)
    return Grant(
        Subject("workload", Identity(issuer, certificate.uri), "mtls", groups=rule.groups, scopes=rule.scopes),
        agent_id=certificate.uri,
        surfaces=rule.surfaces,
        expires_at_s=certificate.ends_s,
        names_users=rule.users(certificate.uri),
        credential=certificate.name,
    )


def _authority(uri: str) -> str:
    match = _AUTHORITY.match(uri)
    assert match is not None, "a rule without an issuer has an authority, and so has every URI that fits it"
    return match[1]


def _indirect(uri: str) -> bool:
    """Empty segments and dots: what two readers may take for two paths."""
    path = uri.split(":", 1)[1].removeprefix("//")
    return any(segment in {"", ".", ".."} for segment in path.split("/"))


def _rejected(what: str) -> Rejected:
    return Rejected("client_certificate", f"The client certificate {what}.")
