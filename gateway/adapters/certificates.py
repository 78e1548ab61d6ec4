"""Callers known by their client certificate: read once for each certificate, its validity judged on every request."""

from collections import OrderedDict
from collections.abc import Sequence

from gateway.identity.certificates import Certificate, check_rule, granted, read
from gateway.identity.grant import Grant
from gateway.identity.workloads import TrustedWorkloads
from gateway.model import Caller

MAX_READ = 1000  # certificates kept as read; reading one costs some 50 µs


class Certificates:
    """The workloads that may come with nothing but a certificate."""

    def __init__(self, trusted: Sequence[TrustedWorkloads]) -> None:
        """Raises `ValueError`."""
        for rule in trusted:
            check_rule(rule)
        self._trusted = tuple(trusted)
        self._read: OrderedDict[bytes, Certificate] = OrderedDict()

    def verified(self, der: bytes, *, now_s: float) -> Grant:
        """Raises `Rejected`."""
        certificate = self._read.get(der)
        if certificate is None:
            certificate = self._read[der] = read(der)
            if len(self._read) > MAX_READ:
                self._read.popitem(last=False)
        return granted(certificate, self._trusted, now_s=now_s)

    def still_good(self, caller: Caller) -> bool:
        """Its end apart: rules and CA do not change while the gateway runs."""
        return bool(self._trusted) and caller.credential.startswith("mtls:")
