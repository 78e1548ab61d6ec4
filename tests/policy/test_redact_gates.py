"""What holds no match is told so at once, however many and large the patterns are: for large ones there are several gates."""

import json
import random
import subprocess
from typing import Any

import pytest

from gateway.model import Json, JsonObject
from gateway.policy.duty import Redaction
from gateway.policy.redact import Hit, Redacted, Redactor, compile_redactions
from tests.policies.demo import ROOT
from tools.binaries import find

KEY = b"0123456789abcdef0123456789abcdef"
OPA_DEADLINE_S = 60.0
RULES = ("credentials", "secrets", "personal_data")
ASKED = {
    "version": 1,
    "subject": {"type": "user", "id": "ada", "groups": [], "scopes": [], "claims": {}},
    "action": {"name": "tools/call", "phase": "request"},
    "resources": [{"type": "tool", "backend": "crm", "name": "find", "public_name": "crm__find"}],
    "arguments": {},
}
LETTERS = r"\pL{6}[\p{Zs}\p{Pd}]{0,2}"  # some 7,000 RE2 instructions


def duty(pattern: str, name: str = "r", **changes: Any) -> Redaction:
    return Redaction(f"org/{name}", "c", "result", None, pattern, None, "replace", None, None, **changes)


@pytest.fixture(scope="module")
def library() -> Redactor:
    """Every redaction of results that the shipped rules and those of the library know, together."""
    query = "[" + ", ".join(f"data.mcp.org.{rule}.oblige" for rule in RULES) + "]"
    folders = ["-d", str(ROOT / "policies"), "-d", str(ROOT / "library/policies")]
    command = [str(find("opa")), "eval", *folders, "-I", "-f", "json", query]
    said = subprocess.run(command, input=json.dumps(ASKED), capture_output=True, text=True, check=True, timeout=OPA_DEADLINE_S)
    owed = [each["properties"] for rule in json.loads(said.stdout)["result"][0]["expressions"][0]["value"] for each in rule]
    duties = [
        duty(each["pattern"], check=each.get("check"), ours=tuple(each["ours"]) if "ours" in each else None)
        for each in owed
        if each["target"] == "result" and "pattern" in each
    ]
    assert len(duties) > 20
    return compile_redactions(duties, KEY)


CLEAN: dict[str, Json] = {
    "small numbers": list(range(9_900)),
    "a table": [{"id": row, "name": f"nm {row}", "x": row * 7, "s": "open", "y": 1.5, "z": "abc"} for row in range(400)],
    "many rows": [{"id": row, "name": f"nm {row}", "s": "open", "y": 1.5, "z": "ünï"} for row in range(21_000)],
}


@pytest.mark.parametrize("case", CLEAN)
def test_clean_data_takes_no_steps_under_all_rules_together(library: Redactor, case: str) -> None:
    before: JsonObject = {"content": [], "structuredContent": {"found": CLEAN[case]}}
    done = library.result(before)
    assert done.value is before
    assert (done.steps, done.withheld) == (0, 0)


def test_what_one_of_several_gates_knows_is_found(library: Redactor) -> None:
    texts = library.plans["result"].texts
    assert len(texts.gates) > 1
    assert len(texts.lines) > 1
    for secret in ("ghp_" + "A1b2" * 9, "4111 1111 1111 1111", "DE89370400440532013000", "123-45-6789", "a@b.example"):
        rows: list[Json] = [f"row {row}" for row in range(100)]
        done = library.result({"structuredContent": {"rows": [*rows, f"x {secret} y", *rows]}})
        assert secret not in str(done.value)
        assert done.hits != ()


def test_patterns_that_are_too_large_together_have_gates_of_their_own() -> None:
    patterns = [f"{sign}{LETTERS}" for sign in "abcdef"]
    one = compile_redactions([duty(pattern, pattern[0]) for pattern in patterns], KEY)
    texts = one.plans["result"].texts
    assert 1 < len(texts.gates) == len(texts.lines) < len(patterns)
    assert [texts.may_match(f"{sign}{'é' * 6}".encode()) for sign in "abcdefg"] == [True] * 6 + [False]
    for sign in "abcdef":
        assert one.result({"later": f"-{sign}{'é' * 6}"}) == Redacted({"later": "-[redacted]"}, (Hit(f"org/{sign}", "c", 1),))


def test_a_quotation_left_open_has_every_pattern_asked_by_itself() -> None:
    one = compile_redactions([duty(r"\Qa+b", "open"), duty("secret", "other")], KEY)
    assert one.plans["result"].texts.gates == ()
    assert one.result({"later": ["a+b", "secret", "ab"]}).value == {"later": ["[redacted]", "[redacted]", "ab"]}


def test_a_gate_whose_automaton_outgrows_its_memory_still_answers_rightly() -> None:
    """Each window of 300 letters is a state of its own; RE2 then goes on without the automaton."""
    dice = random.Random(7)
    hay = "".join(dice.choice("ab") for _ in range(12_000))
    one = compile_redactions([duty("a[ab]{300}c", "wide"), duty("a[ab]{250}d", "other")], KEY)
    texts = one.plans["result"].texts
    needle = "a" * 400
    assert not texts.may_match(hay.encode())
    assert texts.may_match(f"{hay}{needle}c".encode())
    assert texts.may_match_any([hay, f"{hay}{needle}d", hay])
    assert not texts.may_match_any([hay, "c", hay, "d"])
