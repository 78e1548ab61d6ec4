"""URI templates: what a template expands to matches it, what it cannot expand to does not, and none can hold the gateway up."""

import time
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.catalog.templates import MAX_TEMPLATE, matches, pattern

RESERVED = ":/?#[]@!$&'()*+,;="
OPERATORS = {  # RFC 6570, appendix A: first, separator, named, what stands for an empty value, reserved characters stay
    "": ("", ",", False, "", False),
    "+": ("", ",", False, "", True),
    "#": ("#", ",", False, "", True),
    ".": (".", ".", False, "", False),
    "/": ("/", "/", False, "", False),
    ";": (";", ";", True, "", False),
    "?": ("?", "&", True, "=", False),
    "&": ("&", "&", True, "=", False),
}
Value = str | list[str] | dict[str, str] | None


def expanded(operator: str, variables: list[tuple[str, bool, Value]]) -> str:
    """One expression's expansion, by RFC 6570, section 3.2.1; `(name, exploded, value)` each."""
    first, separator, named, empty, reserved = OPERATORS[operator]
    parts: list[str] = []

    def encoded(text: str) -> str:
        return quote(text, safe=(RESERVED if reserved else "") + "-._~")

    def under(name: str, text: str) -> str:
        return (f"{name}={text}" if text else name + empty) if named else text

    for name, exploded, value in variables:
        if value is None or value in ([], {}):
            continue
        if isinstance(value, str):
            parts.append(under(name, encoded(value)))
        elif isinstance(value, list):
            texts = [encoded(each) for each in value]
            parts += [under(name, each) for each in texts] if exploded else [under(name, ",".join(texts))]
        elif exploded:
            parts += [f"{encoded(key)}={encoded(each)}" for key, each in value.items()]
        else:
            parts.append(under(name, ",".join(f"{encoded(key)},{encoded(each)}" for key, each in value.items())))
    return first + separator.join(parts) if parts else ""


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
VALUES = st.none() | TEXTS | st.lists(TEXTS, max_size=3) | st.dictionaries(TEXTS, TEXTS, max_size=2)
VARIABLES = st.lists(st.tuples(st.from_regex(r"[a-z]{1,3}", fullmatch=True), st.booleans(), VALUES), min_size=1, max_size=3)
EXPRESSIONS = st.tuples(st.sampled_from(sorted(OPERATORS)), VARIABLES)
LITERALS = st.text(st.sampled_from("ab/.:?#é"), max_size=4)


@given(st.lists(st.tuples(LITERALS, EXPRESSIONS), max_size=4))
def test_an_expansion_of_a_template_always_matches_it(parts: list[tuple[str, tuple[str, list[tuple[str, bool, Value]]]]]) -> None:
    template = uri = "note://"
    for literal, (operator, given_variables) in parts:
        variables = given_variables
        if operator == "" and expanded(operator, variables) == "":
            variables = [*variables, ("z", False, "z")]  # a plain `{x}` with nothing in it is what no backend means
        names = ",".join(name + ("*" if exploded else "") for name, exploded, _ in variables)
        template += literal + "{" + operator + names + "}"
        uri += quote(literal, safe=RESERVED) + expanded(operator, variables)
    assert matches(template, uri)


@pytest.mark.parametrize(
    ("template", "uri", "matched"),
    [
        ("note://{id}", "note://7", True),
        ("note://{id}", "note://7/8", False),
        ("note://{id}", "note://", False),
        ("repo://{owner}/{name}", "repo:///", False),
        ("repo://{owner}/{name}", "repo://a/", False),
        ("repo://{owner}/{name}", "repo://a/b", True),
        ("repo://{owner,name}", "repo://a,", True),
        ("note://{id}", "note://7?x", False),
        ("note://{id}", "xnote://7", False),
        ("note://{id}", "note://7\n", True),  # such a URI never comes so far; the program is anchored all the same
        ("note://{id}/raw", "note://7/raw", True),
        ("note://{id}/raw", "note://7/raw/more", False),
        ("note://{+path}", "note://a/b?c#d", True),
        ("note:{/path*}", "note:/a/b/c", True),
        ("note:{/path}", "note:/a/b", False),
        ("note:{/a,b}", "note:/a/b", True),
        ("note://x{?q,n}", "note://x", True),
        ("note://x{?q,n}", "note://x?q=1&n=2", True),
        ("note://x{?q}", "note://x/y?q=1", False),
        ("note://x{#part}", "note://x#part", True),
        ("note://a.b/{x}", "note://a-b/1", False),  # a literal's dot is a dot
        ("note://[(a)+]/{x}", "note://[(a)+]/1", True),
        ("note://é/{x}", "note://%C3%A9/1", True),
        ("note://{x:3}", "note://abc", True),
        ("{+uri}", "anything:at/all", True),
        ("note://fixed", "note://fixed", True),
    ],
)
def test_what_a_template_matches(template: str, uri: str, matched: bool) -> None:
    assert matches(template, uri) is matched


@pytest.mark.parametrize(
    "template",
    [
        "",
        "relative/{x}",
        "note://{",
        "note://}",
        "note://{}",
        "note://{=x}",
        "note://a{!x}b{y}",
        "note://{a{b}}",
        "note://{x y}",
        "note://{x,}",
        "note://{x:0}",
        "note://{x:12345}",
        "note://{x**}",
        "note://a b/{x}",
        "note://a%/{x}",
        "note://<a>/{x}",
        "note://" + "a" * MAX_TEMPLATE,
    ],
)
def test_what_is_no_template_of_uris_has_no_pattern(template: str) -> None:
    assert pattern(template) is None


@given(st.text(st.sampled_from("{}+#./;?&a*:,%12 é\ud800("), max_size=30))
@settings(max_examples=200)
def test_any_text_is_read_without_an_error(template: str) -> None:
    found = pattern("n:" + template)
    assert found is None or isinstance(found.matches("n:a"), bool)


def test_no_template_makes_matching_slow() -> None:
    hostile = "note://" + "{+a}{b}" * 300 + "!"
    begun_s = time.process_time()
    assert not matches(hostile, "note://" + "a" * 5000)
    assert time.process_time() - begun_s < 1.0
