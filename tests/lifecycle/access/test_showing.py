"""Tables of access are read by spreadsheets and pull requests, with names in them that backends chose."""

import pytest

from gateway.lifecycle.access.showing import Rows, as_markdown, lines_of_csv

FORMULAS = {
    "plain": ("=1", "'=1"),
    "a title of the window behind it": ("=\x1b]0;x\x07", "'= ]0;x "),
    "behind a line": ("\n=1", "\\n=1"),
    "behind a blank": (" =1", "' =1"),
    "behind a tab": ("\t=1", "' =1"),
    "wide": ("\uff1d1", "'\uff1d1"),
    "a sign": ("+1", "'+1"),
    "a small sign": ("\ufe6b1", "'\ufe6b1"),
    "no formula": ("a=1", "a=1"),
    "nothing": ("", '""'),
}


@pytest.mark.parametrize("case", FORMULAS)
def test_a_cell_is_no_formula_and_sends_no_control_code(case: str) -> None:
    said, shown = FORMULAS[case]
    assert lines_of_csv([[said]]) == f"{shown}\n"


LIVE = {
    "a team": ("@acme/owners", "`@acme/owners`"),
    "a link": ("https://evil.example", "`https://evil.example`"),
    "a link without a scheme": ("www.evil.example", "`www.evil.example`"),
    "a way out of the code": ("`@team` | x", "`'@team' / x`"),
    "a wide sign": ("\uff20team", "`\uff20team`"),
    "markup": ("*a* <b>", "\\*a\\* \\<b\\>"),
    "a plain name": ("deploy", "deploy"),
}


@pytest.mark.parametrize("case", LIVE)
def test_a_name_calls_nobody_and_links_nowhere_in_a_pull_request(case: str) -> None:
    said, shown = LIVE[case]
    told = as_markdown(Rows((said,), ((said,),), (said,)), said, said)
    assert told == f"### {shown}\n\n| {shown} |\n| --- |\n| {shown} |\n\n- {shown}\n\n{shown}\n"
