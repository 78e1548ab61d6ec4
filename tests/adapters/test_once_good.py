"""What is remembered of tokens that were good once."""

from gateway.adapters.once_good import OnceGood


def test_a_token_is_no_guess_until_its_own_end_or_until_it_fails() -> None:
    once = OnceGood()
    once.add(b"a", until_s=10.0)
    once.add(b"b", until_s=10.0)
    once.drop(b"b")
    assert [once.holds(each, now_s=9.9) for each in (b"a", b"b", b"c")] == [True, False, False]
    assert not once.holds(b"a", now_s=10.0)


def test_what_was_used_longest_ago_is_forgotten_first() -> None:
    once = OnceGood(max_kept=2)
    for digest in (b"a", b"b", b"a", b"c"):
        once.add(digest, until_s=10.0)
    assert (len(once), [once.holds(each, now_s=0.0) for each in (b"a", b"b", b"c")]) == (2, [True, False, True])
