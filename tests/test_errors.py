"""The one table of failures: every kind has a row, and every row keeps what both eras demand of codes and statuses."""

import pytest

from gateway.errors import BACKEND_CAUSES, UNDECIDED_CAUSES, WIRE, BackendFailed, Kind, Refusal, Undecided, Wire

JSON_RPC = {-32700, -32600, -32601, -32602, -32603}  # JSON-RPC 2.0, 5.1
MODERN_OWN = {-32020, -32021, -32022}  # 2026-07-28, basic: error codes; the rest of -32020..-32099 must not be used
RESERVED = range(-32768, -31999)


def test_every_kind_of_failure_has_a_row_and_every_row_a_kind() -> None:
    assert set(WIRE) == set(Kind)


def test_the_table_cannot_be_changed_while_serving() -> None:
    with pytest.raises(TypeError):
        WIRE[Kind.DENIED] = Wire(0, 0, 0, 0)  # type: ignore[index]


@pytest.mark.parametrize("kind", Kind)
def test_a_modern_code_is_one_of_the_protocol_or_outside_its_range(kind: Kind) -> None:
    code = WIRE[kind].modern_code
    assert code in JSON_RPC | MODERN_OWN or code not in RESERVED


@pytest.mark.parametrize("kind", Kind)
def test_a_legacy_client_sees_404_only_where_its_session_or_the_endpoint_is_gone(kind: Kind) -> None:
    """It must begin a new session then (2025-11-25, basic/transports: session management)."""
    assert (WIRE[kind].legacy_status == 404) == (kind in {Kind.UNKNOWN_SESSION, Kind.NO_SUCH_ENDPOINT})


@pytest.mark.parametrize("kind", [Kind.BUSY, Kind.LIMITED, Kind.DENIED, Kind.UNDECIDED, Kind.UNRECORDED, Kind.BACKEND_FAILED])
def test_what_may_pass_by_itself_never_has_a_status_that_turns_a_client_to_the_legacy_era(kind: Kind) -> None:
    assert (WIRE[kind].modern_status, WIRE[kind].legacy_status) == (200, 200)


@pytest.mark.parametrize(
    ("kind", "modern", "legacy"),
    [
        (Kind.PARSE, (400, -32700), (400, -32700)),
        (Kind.INVALID_REQUEST, (400, -32600), (400, -32600)),
        (Kind.INVALID_PARAMS, (400, -32602), (200, -32602)),
        (Kind.HEADER_MISMATCH, (400, -32020), (400, -32020)),
        (Kind.MISSING_CAPABILITY, (400, -32021), (400, -32021)),
        (Kind.UNSUPPORTED_VERSION, (400, -32022), (400, -32022)),
        (Kind.UNKNOWN_METHOD, (404, -32601), (200, -32601)),
        (Kind.UNKNOWN_ITEM, (400, -32602), (200, -32602)),
        (Kind.UNKNOWN_RESOURCE, (400, -32602), (200, -32002)),
        (Kind.DENIED, (200, 1403), (200, 1403)),
        (Kind.LIMITED, (200, 1429), (200, 1429)),
        (Kind.UNDECIDED, (200, -32603), (200, -32603)),
        (Kind.TOO_LARGE, (413, -32600), (413, -32600)),
        (Kind.HEADERS_TOO_LARGE, (431, -32600), (431, -32600)),
        (Kind.SLOW_REQUEST, (408, -32600), (408, -32600)),
    ],
)
def test_a_refusal_reads_its_row(kind: Kind, modern: tuple[int, int], legacy: tuple[int, int]) -> None:
    refusal = Refusal(kind, "no")
    assert (refusal.status("modern"), refusal.code("modern")) == modern
    assert (refusal.status("legacy"), refusal.code("legacy")) == legacy


def test_an_applications_own_code_replaces_the_tables_in_both_eras_and_leaves_the_status() -> None:
    refusal = Refusal(Kind.BACKEND_ERROR, "no", code=5)
    assert (refusal.code("modern"), refusal.code("legacy"), refusal.status("modern")) == (5, 5, 200)


def test_a_refusal_without_a_cause_is_counted_as_its_kind() -> None:
    assert (Refusal(Kind.PARSE, "no").cause, Refusal(Kind.PARSE, "no", cause="late").cause) == ("parse", "late")


def test_causes_are_closed_words() -> None:
    assert {Undecided(each).cause for each in UNDECIDED_CAUSES} == UNDECIDED_CAUSES
    assert {BackendFailed(each, sent=False).cause for each in BACKEND_CAUSES} == BACKEND_CAUSES
    with pytest.raises(AssertionError):
        Undecided("bad luck")
    with pytest.raises(AssertionError):
        BackendFailed("bad luck", sent=True)
