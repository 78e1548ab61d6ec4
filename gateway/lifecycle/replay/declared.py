"""A recorded call as a policy set would be asked about it: `input.extracted` is what that set's facts declare, not another's.

What is read out of arguments follows from the facts. Where a set declares otherwise than the recorded one did, or nobody knows
what that declared, the arguments are read again; where they hold stand-ins, all of `input.extracted` counts as one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

import msgspec
import yaml

from gateway.adapters.opa.findings import Finding, PolicyRejected
from gateway.adapters.opa.snapshot import Snapshot
from gateway.lifecycle.replay.traffic import Question
from gateway.model import Json, JsonObject, Resource
from gateway.policy import bundle, facts
from gateway.policy.contract import VERSION_1, Contract
from gateway.policy.extract import DECLARING, Declared, Extractions, extracted, told
from gateway.policy.rego import Path

EXTRACTED: Path = ("extracted",)


@dataclass(frozen=True, slots=True)
class Put:
    """A question as it is put to one set."""

    question: Question
    document: JsonObject  # what its `document` says below `input`


def extractions(copy: Snapshot, contract: Contract = VERSION_1) -> Extractions:
    """What the facts of a set declare. Raises `PolicyRejected`."""
    texts = {name: text for name, text in copy.texts.items() if name.startswith(facts.ROOT) and not name.endswith(".rego")}
    try:
        return contract.declarations(facts.whole({name: text.decode() for name, text in texts.items()}), copy.revision)
    except (ValueError, yaml.YAMLError, RecursionError) as error:  # UnicodeDecodeError is one
        raise PolicyRejected((Finding(facts.ROOT, 0, f"cannot be read: {error}; `policy check` says where"),)) from error


def put(question: Question, document: JsonObject, asked: Extractions, known: Mapping[str, Extractions]) -> Put:
    """`known`: what sets declare, by revision, for the one under which the question was recorded may be among them."""
    about = _called(question, document)
    if about is None:
        return Put(question, document)
    declared = asked.of(about)
    then = next((said for revision, said in known.items() if bundle.same_contents(revision, question.revision)), None)
    alike = then is not None and then.of(about) == declared
    if alike or (not declared and "extracted" not in document):
        return Put(question, document)
    arguments = cast(JsonObject, document["arguments"])
    marks = tuple(mark for mark in question.stand_ins if mark[:1] != EXTRACTED)
    rest = {name: value for name, value in document.items() if name != "extracted"}
    if declared:
        rest["extracted"] = extracted(declared, told(about, arguments))
    if any(_met(each, mark) for each in declared for mark in marks):
        marks = (*marks, EXTRACTED)
    return Put(replace(question, document=msgspec.json.encode({"input": rest}), stand_ins=marks), rest)


def _called(question: Question, document: JsonObject) -> Resource | None:
    """What is called, got or read; None: something else is asked."""
    resources = document.get("resources")
    if question.phase == "list" or not isinstance(resources, list) or not isinstance(document.get("arguments"), dict):
        return None
    about = resources[0] if len(resources) == 1 else None
    type = about.get("type") if isinstance(about, dict) else None
    if not isinstance(about, dict) or type not in (*DECLARING, "resource"):
        return None
    backend, name, uri, template = (_text(about.get(each)) for each in ("backend", "name", "uri", "template"))
    return Resource(type, "", backend=backend, name=name, uri=uri, template=template)


def _text(value: Json) -> str | None:
    return value if isinstance(value, str) else None


def _met(declared: Declared, mark: Path) -> bool:
    """Whether a stand-in stands at, above or below what is declared; in URIs there are none."""
    if declared.of_uri:
        return False
    place = ("arguments", *declared.tokens)
    return all(a == b or "*" in (a, b) for a, b in zip(place, mark, strict=False))
