"""Patterns of workloads: what they fit, and that none can be written that fits more than it says."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.identity.grant import NamesUsers
from gateway.identity.workloads import TrustedWorkloads, expecting


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("system:serviceaccount:prod:*", "system:serviceaccount:prod:desk", True),
        ("system:serviceaccount:*:desk", "system:serviceaccount:prod:desk", True),
        ("system:serviceaccount:prod:*", "system:serviceaccount:prod:desk:x", False),
        ("system:serviceaccount:prod:*", "system:serviceaccount:prod", False),
        ("repo:acme/*:ref:refs/heads/main", "repo:acme/web:ref:refs/heads/main", True),
        ("repo:acme/*:ref:refs/heads/main", "repo:acme/web:ref:refs/heads/x:ref:refs/heads/main", False),
        ("repo:acme/*:ref:refs/heads/main", "repo:evil/acme/web:ref:refs/heads/main", False),
        ("repo:acme/**", "repo:acme/web:environment:prod", True),
        ("repo:acme/**", "repo:acme-evil/web:environment:prod", False),
        ("spiffe://example.org/**", "spiffe://example.org/a/b", True),
        ("spiffe://example.org/**", "spiffe://example.org/", False),
        ("a.c", "abc", False),
        ("desk", "desk\n", False),
    ],
)
def test_a_star_ends_at_the_next_separator(pattern: str, name: str, fits: bool) -> None:
    rule = TrustedWorkloads(pattern)
    assert expecting(name, [rule]) == (rule if fits else None)


@pytest.mark.parametrize("pattern", ["", "**", "acme**", "a/**/b", "a/***", "a**b", "***"])
def test_a_pattern_that_says_more_than_it_seems_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"`\*` stands for a segment"):
        TrustedWorkloads(pattern)


def test_the_first_rule_that_fits_counts_and_says_which_users_may_be_named() -> None:
    rules = [
        TrustedWorkloads("desk", names_users=True, user_groups=("support",)),
        TrustedWorkloads("*", names_users=True, user_issuer="https://id.example.com"),
        TrustedWorkloads("a/b"),
    ]
    told = [rule.users(name) for name in ("desk", "till", "a/b") if (rule := expecting(name, rules))]
    assert told == [NamesUsers("urn:workload:desk", ("support",)), NamesUsers("https://id.example.com"), None]


@settings(max_examples=200, deadline=None)
@given(st.text("ab/:.", min_size=1, max_size=12), st.text("ab/:.", max_size=6))
def test_without_a_star_only_the_very_name_fits(name: str, more: str) -> None:
    assert (expecting(name + more, [TrustedWorkloads(name)]) is not None) is (more == "")
