"""One HTML page that needs nothing else: it can be sent, kept, and opened where there is no network. Nothing in it is markup
but what stands here: names and conditions come from backends and rules, and are escaped."""

from html import escape

from gateway.lifecycle.access.showing import WORDS, counts, item_name, note
from gateway.lifecycle.access.table import ACCESSES, Cell, Table
from gateway.lifecycle.printing import plain

POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
LEGEND = {
    "allowed": "allowed, whatever the arguments",
    "when": "allowed when its condition holds",
    "denied": "visible, always refused",
    "hidden": "does not exist for this persona",
    "unknown": "cannot be told",
}
STYLE = """
:root { color-scheme: light dark; --line: #8884; --back: Canvas; }
body { font: 14px/1.45 system-ui, sans-serif; margin: 1.5rem; }
h1 { font-size: 1.25rem; margin: 0 0 .25rem; }
p { margin: .25rem 0 .75rem; }
input { font: inherit; padding: .3rem .5rem; width: 18rem; margin-right: 1rem; }
.legend span { display: inline-block; padding: .05rem .5rem; margin-right: .4rem; border-radius: .25rem; }
.scroll { overflow: auto; max-height: 80vh; border: 1px solid var(--line); }
table { border-collapse: collapse; }
th, td { border: 1px solid var(--line); padding: .25rem .5rem; text-align: left; vertical-align: top; }
thead th { position: sticky; top: 0; background: var(--back); z-index: 2; }
tbody th { position: sticky; left: 0; background: var(--back); font-weight: 500; font-family: ui-monospace, monospace; }
thead th:first-child { left: 0; z-index: 3; }
th small { display: block; font-weight: 400; opacity: .7; }
td small { display: block; max-width: 22rem; overflow-wrap: anywhere; }
.allowed { background: #2da44e40; } .when { background: #bf870040; } .denied { background: #cf222e33; }
.hidden { opacity: .55; } .unknown { background: #8250df40; }
"""
SCRIPT = """
const wanted = document.getElementById("wanted"), conditional = document.getElementById("conditional");
function filter() {
  const text = wanted.value.toLowerCase();
  for (const row of document.querySelectorAll("tbody tr")) {
    const fits = row.textContent.toLowerCase().includes(text);
    row.hidden = !fits || (conditional.checked && !row.querySelector(".when, .denied, .unknown"));
  }
}
wanted.addEventListener("input", filter);
conditional.addEventListener("change", filter);
"""


def page(table: Table, title: str) -> str:
    heads = "".join(
        f'<th scope="col">{_text(persona.name)}<small>{_text(", ".join(persona.groups) or "no groups")}</small></th>'
        for persona in table.personas
    )
    body = "\n".join(
        f'<tr><th scope="row">{_text(item_name(item))}<small>{_text(item.type.replace("_", " "))}</small></th>'
        + "".join(_cell(table.cell(persona.name, item_name(item))) for persona in table.personas)
        + "</tr>"
        for item in table.items
    )
    legend = " ".join(f'<span class="{each}">{WORDS[each]}: {LEGEND[each]}</span>' for each in ACCESSES)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width">
<title>{_text(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<h1>{_text(title)}</h1>
<p>{_text(counts(table))}</p>
<p class="legend">{legend}</p>
<p><input id="wanted" type="search" placeholder="item, persona's answer or rule" aria-label="filter">
<label><input id="conditional" type="checkbox" style="width:auto"> only conditions and refusals</label></p>
<div class="scroll"><table>
<thead><tr><th scope="col">item</th>{heads}</tr></thead>
<tbody>
{body}
</tbody>
</table></div>
<script>{SCRIPT}</script>
</body>
</html>
"""


def _cell(cell: Cell) -> str:
    text = note(cell)
    more = f"<small>{_text(text)}</small>" if text else ""
    why = f' title="{_text(", ".join(cell.rules))}"' if cell.rules else ""
    return f'<td class="{cell.access}"{why}>{WORDS[cell.access]}{more}</td>'


def _text(text: str) -> str:
    return escape(plain(text))
