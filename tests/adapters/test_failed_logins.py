"""Failed logins: how many an address has, how long it waits, and that no number of addresses fills the memory."""

import pytest

from gateway.adapters.failed_logins import FailedLogins, source


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def test_an_address_waits_after_its_failures_until_its_minute_is_over() -> None:
    clock = Clock()
    logins = FailedLogins(3, clock_s=clock)
    waits = []
    for _ in range(4):
        waits.append(logins.wait_s("192.0.2.7"))
        logins.failed("192.0.2.7", "signature")
        clock.now_s += 10
    assert waits == [0.0, 0.0, 0.0, 30.0]
    assert (logins.wait_s("192.0.2.8"), logins.limited()) == (0.0, 1)
    clock.now_s = 1060.0
    assert (logins.wait_s("192.0.2.7"), logins.limited()) == (0.0, 0)


@pytest.mark.parametrize("cause", ["expired", "end_user", "keys_unavailable", "issuer_unavailable", "proof_unremembered"])
def test_what_was_verified_or_is_not_the_callers_fault_is_no_failure(cause: str) -> None:
    logins = FailedLogins(1)
    logins.failed("192.0.2.7", cause)
    assert logins.wait_s("192.0.2.7") == 0.0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.7", "192.0.2.8", False),
        ("192.0.2.7", "::ffff:192.0.2.7", True),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("", "/run/socket", True),
    ],
)
def test_addresses_that_one_stranger_holds_are_one_source(one: str, other: str, same: bool) -> None:
    assert (source(one) == source(other)) is same


def test_more_addresses_than_are_kept_push_out_the_oldest_and_no_more() -> None:
    logins = FailedLogins(1, max_sources=100)
    for number in range(250):
        logins.failed(f"198.51.{number // 200}.{number % 200}", "signature")
    assert logins.limited() == 100
    assert [logins.wait_s("198.51.0.149") > 0, logins.wait_s("198.51.0.150") > 0] == [False, True]


def test_after_its_minute_an_address_begins_anew_and_can_be_limited_again() -> None:
    clock = Clock()
    logins = FailedLogins(2, clock_s=clock)
    waits = []
    for _ in range(2):
        for _ in range(2):
            logins.failed("192.0.2.7", "signature")
        waits.append(logins.wait_s("192.0.2.7"))
        clock.now_s += 61
    assert waits == [60.0, 60.0]


def test_no_limit_counts_for_the_figures_and_limits_nobody() -> None:
    told: list[str] = []
    logins = FailedLogins(0, told=told.append)
    for _ in range(5):
        logins.failed("192.0.2.7", "signature")
    assert (logins.wait_s("192.0.2.7"), told) == (0.0, ["signature"] * 5)


def test_an_address_that_waits_is_spared_two_verifications_a_second() -> None:
    clock = Clock()
    logins = FailedLogins(1, clock_s=clock)
    for address in ("192.0.2.7", "192.0.2.8"):
        logins.failed(address, "signature")
    spared = [logins.spare("192.0.2.7"), logins.spare("192.0.2.7"), logins.spare("192.0.2.8")]
    clock.now_s += 0.5
    assert [*spared, logins.spare("192.0.2.7"), logins.spare("192.0.2.7")] == [True, False, True, True, False]
