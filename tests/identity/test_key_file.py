"""The key file's form: what is written is read again, what is no key is told by its line, and a revoked key cannot count."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.identity.api_keys import ApiKey
from gateway.identity.grant import NamesUsers
from gateway.identity.key_file import BadKeyFile, Difference, KeyRecord, difference, read, standing, state, text, tombstone

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
GOOD = {"id": "ci", "subject": "builds", "created": "2026-01-01T00:00:00Z", "sha256": "ab" * 32}
CI = KeyRecord(id="ci", subject="builds", created=datetime(2026, 1, 1, tzinfo=UTC), sha256="ab" * 32)


def _text(**members: Any) -> str:
    return json.dumps({name: said for name, said in {**GOOD, **members}.items() if said is not None})


def test_a_line_is_a_key_with_everything_that_it_grants() -> None:
    line = _text(
        owner="ada@example.com",
        expires="2026-02-01T01:00:00+01:00",
        surfaces=["engineering"],
        groups=["bots"],
        scopes=["mcp:read"],
        names_users=True,
        user_groups=["support"],
    )
    assert standing(read(line + "\n\n")) == (
        ApiKey(
            id="ci",
            sha256=bytes.fromhex("ab" * 32),
            subject_id="builds",
            groups=("bots",),
            scopes=("mcp:read",),
            surfaces=frozenset({"engineering"}),
            expires_at_s=datetime(2026, 2, 1, tzinfo=UTC).timestamp(),
            names_users=NamesUsers("urn:workload:builds", ("support",)),
        ),
    )


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param("{", "not JSON", id="no_json"),
        pytest.param("[]", "Expected `object`, got `array`", id="no_object"),
        pytest.param("[" * 100_000, "nested too deeply", id="an_abyss"),
        pytest.param(_text()[:-1] + ', "id": "other"}', "a member is given twice", id="twice"),
        pytest.param(_text(expire="2026-02-01T00:00:00Z"), "Object contains unknown field `expire`", id="misspelt"),
        pytest.param(_text(subject=None), "Object missing required field `subject`", id="nobody"),
        pytest.param(_text(id="a_b"), "Expected `str` matching regex '^[A-Za-z0-9]{1,32}\\\\Z' - at `$.id`", id="id"),
        pytest.param(
            _text(id="ci\n"), "Expected `str` matching regex '^[A-Za-z0-9]{1,32}\\\\Z' - at `$.id`", id="id_and_newline"
        ),
        pytest.param(_text(sha256="AB" * 32), "Expected `str` matching regex '^[0-9a-f]{64}\\\\Z' - at `$.sha256`", id="hash"),
        pytest.param(_text(sha256=None), "a key has a `sha256` until it is `revoked`, and then no more", id="neither"),
        pytest.param(
            _text(revoked="2026-01-02T00:00:00Z"), "a key has a `sha256` until it is `revoked`, and then no more", id="both"
        ),
        pytest.param(
            _text(expires="2026-02-01T00:00:00"), "Expected `datetime` with a timezone component - at `$.expires`", id="zone"
        ),
        pytest.param(_text(expires="soon"), "Invalid RFC3339 encoded datetime - at `$.expires`", id="no_time"),
        pytest.param(_text(type="user", names_users=True), "only a workload may be trusted to name users", id="a_person"),
        pytest.param(_text(subject="a\u202eb"), "`subject` and `owner` are printable text", id="unprintable"),
        pytest.param(
            _text(names_users=True, user_issuer="urn:mcp-gateway:keys"),
            "the issuer 'urn:mcp-gateway:keys' is reserved",
            id="ours",
        ),
    ],
)
def test_what_is_no_key_is_told_by_its_line(line: str, expected: str) -> None:
    with pytest.raises(BadKeyFile) as told:
        read(_text(id="first") + "\n" + line)
    assert str(told.value).startswith(f"line 2: not a key: {expected}")


def test_two_lines_with_one_id_are_refused_also_when_one_of_them_is_revoked() -> None:
    with pytest.raises(BadKeyFile, match="line 2: a second key with the id ci"):
        read(text([tombstone(CI, now=NOW), CI]))


def test_a_revoked_key_keeps_its_line_and_nothing_by_which_it_could_count() -> None:
    record = msgspec.structs.replace(CI, owner="ada", groups=("bots",), surfaces=("a",), names_users=True)
    line = text([tombstone(record, now=NOW)])
    assert json.loads(line) == {
        "id": "ci",
        "subject": "builds",
        "created": "2026-01-01T00:00:00Z",
        "owner": "ada",
        "surfaces": ["a"],
        "revoked": "2026-01-31T12:00:00Z",
    }
    assert standing(read(line)) == ()


def test_a_key_is_active_until_the_very_moment_of_its_end() -> None:
    ending = msgspec.structs.replace(CI, expires=NOW)
    assert [state(ending, now=NOW - timedelta(microseconds=1)), state(ending, now=NOW)] == ["active", "expired"]
    assert [state(CI, now=NOW), state(tombstone(ending, now=NOW), now=NOW)] == ["active", "revoked"]


def test_what_changed_is_told_by_ids() -> None:
    old, gone = (msgspec.structs.replace(CI, id=id) for id in ("old", "gone"))
    after = [tombstone(CI, now=NOW), msgspec.structs.replace(old, expires=NOW), msgspec.structs.replace(CI, id="new")]
    changed = difference([CI, old, gone], after)
    assert changed == Difference(added=("new",), revoked=("ci",), changed=("old",), removed=("gone",))
    assert Difference(("new",), (), (), ()).members() == {"added": ("new",)}


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=12)
TIMES = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
RECORDS = st.builds(
    KeyRecord,
    id=st.from_regex(r"[A-Za-z0-9]{1,32}", fullmatch=True),
    subject=WORDS,
    created=TIMES,
    owner=WORDS,
    sha256=st.binary(min_size=32, max_size=32).map(bytes.hex),
    expires=st.none() | TIMES,
    surfaces=st.none() | st.lists(WORDS, max_size=2).map(tuple),
    groups=st.lists(WORDS, max_size=2).map(tuple),
    names_users=st.booleans(),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(RECORDS, max_size=5, unique_by=lambda record: record.id), st.data())
def test_what_is_written_is_read_again(records: list[KeyRecord], data: st.DataObject) -> None:
    some = [tombstone(each, now=NOW) if data.draw(st.booleans()) else each for each in records]
    assert read(text(some)) == tuple(some)


@settings(max_examples=200, deadline=None)
@given(
    st.text() | st.binary().map(lambda raw: raw.decode("latin-1")) | st.recursive(st.none() | st.text(), st.lists).map(json.dumps)
)
def test_whatever_stands_there_is_read_or_told_and_its_text_never_repeated(whatever: str) -> None:
    try:
        read(whatever)
    except BadKeyFile as told:
        assert str(told).startswith("line ")
