"""An explanation on one screen: the answer, who said so and where, what would change it, the duties; the weightiest first."""

import textwrap
from collections.abc import Iterator, Sequence

from gateway.lifecycle.catalog.words import quoted
from gateway.lifecycle.conditions.rules import Rules
from gateway.lifecycle.explain.answer import Explanation, Said
from gateway.lifecycle.explain.nearby import phase
from gateway.lifecycle.explain.question import Recorded
from gateway.lifecycle.printing import inert, plain
from gateway.model import Json, JsonObject
from gateway.policy.bundle import same_contents

MAX_OF_A_KIND = 4
INDENT = 15  # of what stands beside a label
LINE = 84  # characters beside the label: a hundred in all
LABELS = {
    "refused": "refused",
    "withheld": "withheld",
    "hid": "hidden",
    "silent": "would grant",
    "granted": "granted",
    "waived": "waived",
    "observed": "observes",
}
_SPEAKING = frozenset({"refused", "hid", "granted"})  # what a record names, too


def lines(told: Explanation, folder: str) -> list[str]:
    """`folder`: that of the policies, as the reader names it, before each file."""
    result = phase(told.question) == "result"
    late = told.outcome not in ("allowed", "undecided") and result
    shown = [f"{'WITHHELD' if late else told.outcome.upper()}  {headline(told.question)}"]
    shown += [_line("", "; ".join(told.notes))] if told.outcome == "hidden" else [_line("", note) for note in told.notes]
    hidden = told.outcome == "hidden"
    for verb in sorted(LABELS, key=lambda each: each not in (("hid", "silent") if hidden else ("refused",))):
        label = "also refused" if verb == "refused" and hidden else LABELS[verb]
        shown += _said(label, [each for each in told.said if each.verb == verb], folder)
    if told.as_long_as is not None:
        always = told.as_long_as == "always"
        shown.append(_line("always" if always else "as long as", "whatever its arguments" if always else told.as_long_as))
    done = "shown" if result else "allowed"
    for at, change in enumerate(told.changes):
        tried = "" if change.tried else "  (not tried)" if change.tried is None else "  (asked: not allowed)"
        shown.append(_line(f"{done} with" if at == 0 else f"{'or with':>{len(done) + 5}}", change.words + tried))
    if told.hopeless:
        shown.append(_line("no way in", "nothing in the request would help: no rule of this set grants it to anybody"))
    elif told.outcome in ("denied", "hidden") and not told.changes:
        shown.append(
            _line(f"{done} with", f"unknown: OPA names nothing in the {'result' if result else 'request'} that would change it")
        )
    if told.outcome in ("allowed", "listed"):  # elsewhere nothing is owed but the record
        shown += _duties([each for each in told.said if each.verb == "obliged"])
    shown.append(_line("policy", told.revision))
    return _folded(shown)


def recorded_lines(told: Recorded, rules: Rules, folder: str, revision: str, *, again: Explanation | None = None) -> list[str]:
    """What the audit says of it; it stands before what the policies answer now (`again`), and does not say the same twice."""
    record = told.record
    shown = [f"RECORDED  {record.get('outcome', record.get('type'))}, decided by policy {told.revision or 'unknown'}"]
    if told.cause is not None:
        shown.append(_line("", f"there was no decision: {told.cause}"))
    if again is None or _spoken(record) != {(each.verb, each.rule, each.code) for each in again.said if each.verb in _SPEAKING}:
        shown += _recorded_rules(record, rules, folder)
    for each in told.shadows:
        shown += [_line("in shadow", said) for said in _shadowed(each)]
    if told.revision is not None and not same_contents(told.revision, revision):
        shown.append(_line("note", f"these policies are {revision}: what follows is what they say now"))
    if told.question is None:
        level = record.get("level", "metadata")
        shown.append(_line("missing", f"the question: recorded at level {level}; `audit.record: replay` keeps what it takes"))
    if told.stand_ins:
        shown.append(_line("note", f"not as it was sent, for it was secret: {', '.join(told.stand_ins)}"))
    return _folded(shown)


def note(text: str) -> list[str]:
    """What was assumed, or is missing."""
    return _folded([_line("note", text)])


def _shadowed(record: JsonObject) -> Iterator[str]:
    """`candidate 8f01: newly-denied by org/x refused`."""
    candidate = f"candidate {record.get('candidate', 'unknown')}"
    if isinstance(cause := record.get("cause"), str):
        yield f"{candidate}: no decision ({cause})"
    for difference in _objects(record.get("differences")):
        rules = difference.get("rules")
        by = f" by {', '.join(str(each) for each in rules)}" if isinstance(rules, list) and rules else ""
        yield f"{candidate}: {difference.get('kind')}{by}"


def _recorded_rules(record: JsonObject, rules: Rules, folder: str) -> Iterator[str]:
    for denial in _objects(record.get("denials")):
        rule, code = str(denial.get("rule")), str(denial.get("code"))
        yield _line("refused", f"{denial.get('message')} [{code}]")
        yield _line("", f"  {_place(rules, folder, rule, 'deny', code)}")
    for name, label, verb in (("hidden_by", "hidden", "hide"), ("granted_by", "granted", "allow")):
        for each in _texts(record.get(name)):
            yield _line(label, _place(rules, folder, each, verb, ""))


def _spoken(record: JsonObject) -> set[tuple[str, str, str]]:
    """What rules said by the record: verb, rule and code."""
    said = {("refused", str(each.get("rule")), str(each.get("code"))) for each in _objects(record.get("denials"))}
    said |= {("hid", each, "") for each in _texts(record.get("hidden_by"))}
    return said | {("granted", each, "") for each in _texts(record.get("granted_by"))}


def _place(rules: Rules, folder: str, rule: str, verb: str, code: str) -> str:
    package = rules.packages.get(rule)
    if package is None:
        return f"{rule} (no such rule in these policies)"
    bodies = [each for each in package.with_verb(verb) if each.code == code] or package.with_verb(verb)
    return f"{folder}/{package.file}:{bodies[0].line if bodies else package.line}"


def headline(given: JsonObject) -> str:
    subject, action, resources = given.get("subject"), given.get("action"), _objects(given.get("resources"))
    who = subject if isinstance(subject, dict) else {}
    method = action.get("name") if isinstance(action, dict) else ""
    phase = action.get("phase") if isinstance(action, dict) else ""
    item = resources[0].get("id") or resources[0].get("uri") or resources[0].get("public_name") if resources else "nothing"
    what = f"{len(resources)} items" if phase == "list" else _name(str(item))
    groups = who.get("groups")
    held = ", ".join(str(group) for group in groups) if isinstance(groups, list) and groups else "no groups"
    late = " (its result)" if phase == "result" else ""
    return f"{method} {what}{late}  for {who.get('type', '')} {who.get('id', '')} ({held})"


def _name(item: str) -> str:
    """A caller may ask for anything: what would read on as part of the sentence stands in quotes."""
    return item if all(each.isprintable() and each not in ' "' for each in item) else quoted(item)


def _said(label: str, said: Sequence[Said], folder: str) -> Iterator[str]:
    for at, each in enumerate(said[:MAX_OF_A_KIND]):
        code = (f" [{each.code}]" if each.code else "") + (" (observes only)" if each.verb == "observed" else "")
        yield _line(label if at == 0 else "", f"{each.text}{code}")
        yield _line("", f"  {folder}/{each.file}:{each.line}" if each.file else f"  {each.rule}")
    if len(said) > MAX_OF_A_KIND:
        yield _line("", f"and {len(said) - MAX_OF_A_KIND} more (--json)")


def _duties(said: Sequence[Said]) -> Iterator[str]:
    """By rule: `redact 5 times (org/credentials)`."""
    counted: dict[tuple[str, str], int] = {}
    for each in said:
        key = (each.text.split(":", 1)[0], each.rule)
        counted[key] = counted.get(key, 0) + 1
    told = [f"{type}{f' {count} times' if count > 1 else ''} ({rule})" for (type, rule), count in counted.items()]
    if told:
        yield _line("duties", ", ".join(told))


def _folded(shown: Sequence[str]) -> list[str]:
    """Long lines go on below what stands beside their label; a file and its line, which is further in, is never broken."""
    folded: list[str] = []
    for line in map(plain, shown):
        if line.startswith(" " * (INDENT + 1)) or len(line) <= INDENT + LINE:
            folded.append(line)
        else:
            below = " " * INDENT
            folded += textwrap.wrap(line, INDENT + LINE, subsequent_indent=below, break_long_words=False, break_on_hyphens=False)
    return [inert(line) for line in folded]


def _line(label: str, text: str) -> str:
    return f"  {label:13}{text}"


def _texts(said: Json) -> list[str]:
    return [str(each) for each in said] if isinstance(said, list) else []


def _objects(said: Json) -> list[JsonObject]:
    return [each for each in said if isinstance(each, dict)] if isinstance(said, list) else []
