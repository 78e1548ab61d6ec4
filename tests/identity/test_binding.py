"""What binds a token to its holder, read strictly, and the proof by client certificate."""

import base64
import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.identity.binding import check_certificate, confirmation
from gateway.identity.grant import Confirmation, Rejected

DER = b"the certificate, as it stood on the wire"
THUMBPRINT = base64.urlsafe_b64encode(hashlib.sha256(DER).digest()).rstrip(b"=").decode()


def test_each_known_binding_is_read() -> None:
    assert confirmation({"jkt": THUMBPRINT}) == Confirmation(THUMBPRINT, None)
    assert confirmation({"x5t#S256": THUMBPRINT}) == Confirmation(None, THUMBPRINT)
    assert confirmation({"x5t#S256": THUMBPRINT, "jkt": "j" * 43}) == Confirmation("j" * 43, THUMBPRINT)


KNOWN = st.dictionaries(st.sampled_from(["jkt", "x5t#S256"]), st.from_regex(r"[A-Za-z0-9_-]{43}", fullmatch=True), min_size=1)


@settings(max_examples=200)
@given(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=50)
    | st.lists(st.text(max_size=5), max_size=2)
    | st.dictionaries(
        st.sampled_from(["jkt", "x5t#S256", "jwk", "kid", "jku", "osc", ""]), st.none() | st.text(max_size=50), max_size=3
    )
)
def test_what_is_not_understood_is_refused(cnf: object) -> None:
    with pytest.raises(Rejected) as refused:
        confirmation(cnf)  # type: ignore[arg-type]
    assert refused.value.cause == "bound"


@settings(max_examples=50)
@given(KNOWN, st.sampled_from(["jwk", "kid", "jku", "JKT", "x5t#s256", "x5t"]))
def test_a_binding_that_is_known_beside_one_that_is_not_is_refused(cnf: dict[str, str], other: str) -> None:
    with pytest.raises(Rejected):
        confirmation({**cnf, other: "x" * 43})


def test_only_the_very_certificate_proves_the_binding_to_it() -> None:
    check_certificate(THUMBPRINT, DER)
    for other in (None, b"", DER + b"\n"):
        with pytest.raises(Rejected) as refused:
            check_certificate(THUMBPRINT, other)
        assert refused.value.cause == "certificate"
