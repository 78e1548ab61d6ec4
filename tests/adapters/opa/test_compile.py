"""What OPA says in prose becomes one finding for each error, at its place, with the source that it is about."""

import asyncio
from pathlib import Path

import pytest

from gateway.adapters.opa.command import Completed, run
from gateway.adapters.opa.compile import findings
from gateway.policy.structure import Finding
from tools.binaries import find

PARSING = """\
error: load error: bundle policies: 2 errors occurred:
mcp/org/x.rego:4: rego_parse_error: unexpected eof token
\tallow contains
\t             ^
mcp/org/y.rego:7: rego_parse_error: unexpected identifier token
\tdeny  contents
\t      ^
"""


@pytest.mark.parametrize(
    ("prose", "found"),
    [
        (
            PARSING,
            (
                Finding("mcp/org/x.rego", 4, "rego_parse_error: unexpected eof token: allow contains"),
                Finding("mcp/org/y.rego", 7, "rego_parse_error: unexpected identifier token: deny contents"),
            ),
        ),
        (
            "1 error occurred: mcp/org/x.rego:3: rego_type_error: undefined function foo\n",
            (Finding("mcp/org/x.rego", 3, "rego_type_error: undefined function foo"),),
        ),
        ("\tnothing before it\n", (Finding("", 0, "nothing before it"),)),
        ("", (Finding("", 0, "OPA refused the policies with status 1 and said nothing"),)),
    ],
)
def test_an_errors_further_lines_belong_to_it(prose: str, found: tuple[Finding, ...]) -> None:
    assert findings(Completed(1, b"", prose.encode())) == found


def test_a_real_opa_says_it_so(tmp_path: Path) -> None:
    (tmp_path / "x.rego").write_text("package x\n\nallow contains\n")
    done = asyncio.run(run(find("opa"), ["build", "--bundle", ".", "--output", "b.tar.gz"], cwd=str(tmp_path)))
    assert {(each.file, each.line, each.message.endswith(": allow contains")) for each in findings(done)} == {("x.rego", 4, True)}
