"""Results as servers really send them, each with what is left of it under the duties beside it."""

import json
from pathlib import Path

import pytest

from gateway.policy.duty import Redaction
from gateway.policy.redact import compile_redactions

CORPUS = Path(__file__).parents[1] / "corpus" / "redact"
FIELDS = {"pointer": None, "pattern": None, "except_pattern": None, "action": "replace", "value": None, "binary": None}


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*.json")), ids=lambda path: path.stem)
def test_a_result_of_the_corpus_is_redacted_as_recorded(path: Path) -> None:
    case = json.loads(path.read_text())
    duties = [Redaction(**{**FIELDS, "target": "result", **duty}) for duty in case["duties"]]
    done = compile_redactions(duties, b"0123456789abcdef").result(case["result"])
    assert done.value == case["expected"]
    assert [[hit.rule, hit.code, hit.count] for hit in done.hits] == case["hits"]
    assert done.withheld == case["withheld"]


def test_the_corpus_is_there() -> None:
    assert len(list(CORPUS.glob("*.json"))) >= 6
