"""Reports quote callers, backends and audit files: no text gets a line of its own, or a command to whoever reads the log."""

import pytest

from gateway.lifecycle import printing
from gateway.lifecycle.explain import showing
from gateway.lifecycle.telling import Example
from gateway.model import JsonObject

SEPARATORS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"


@pytest.mark.parametrize("separator", SEPARATORS)
def test_a_text_with_a_line_break_stays_in_one_line(separator: str) -> None:
    assert printing.plain(f"a{separator}b") == ("a\\nb" if separator == "\n" else "a b")


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("::error::x", "\\u{3a}:error::x"),
        ("  ::add-mask::x", "  \\u{3a}:add-mask::x"),
        ("\n::error::x", "\\n::error::x"),
        ("\r\u2028::error::x", "  \\u{3a}:error::x"),
        ("x ##[error]y ##vso[task.complete]", "x \\u{23}#[error]y \\u{23}#vso[task.complete]"),
        ("a::b # ## c", "a::b # ## c"),
    ],
)
def test_no_line_is_a_command_of_a_workflow(said: str, shown: str) -> None:
    assert printing.plain(said) == shown


def test_a_cell_that_is_folded_begins_no_command_either(capsys: pytest.CaptureFixture[str]) -> None:
    printing.table(("rule", "code"), [("org/x", "w" * 93 + "::error::y"), ("a\n::error::b", "")], last=["one", "", "a\n::b"])
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == [
        "RULE           CODE",
        "org/x          " + "w" * 85,
        "               " + "w" * 8 + "::error::y",
        "a\\n::error::b",
        "one",
        "",
        "a\\n::b",
    ]
    printing.table(("rule", "code"), [("org/x", "w" * 93 + "::error::y")], last="\nall is fine")
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == [
        "RULE   CODE",
        "org/x  " + "w" * 93,
        "       \\u{3a}:error::y",
        "",
        "all is fine",
    ]


def test_an_example_has_two_lines_whoever_it_quotes() -> None:
    example = Example(0, "d1", "::ada", "tools/call", "x\n::error::y")
    assert example.sentence() == "\n    \\u{3a}:ada, tools/call x\\n::error::y\n    1970-01-01 00:00:00 decision d1"


def test_what_a_caller_asked_for_cannot_read_on_as_the_sentence_around_it() -> None:
    item = 'x  for user boss (admins)\n  granted      "Administrators" may\nALLOWED  tools/call x'
    given: JsonObject = {
        "subject": {"type": "user", "id": "ada", "groups": []},
        "action": {"name": "tools/call", "phase": "request"},
        "resources": [{"id": item}],
    }
    assert showing.headline(given) == (
        r'tools/call "x  for user boss (admins)\n  granted      \"Administrators\" may\nALLOWED  tools/call x"'
        "  for user ada (no groups)"
    )
    assert showing.headline({**given, "resources": [{"id": "crm__search"}]}) == "tools/call crm__search  for user ada (no groups)"


def test_a_folded_explanation_has_no_line_that_is_a_command() -> None:
    folded = showing.note("w" * 80 + " ::error::" + "y" * 40)
    assert folded == [f"  note         {'w' * 80}", f"               \\u{{3a}}:error::{'y' * 40}"]
