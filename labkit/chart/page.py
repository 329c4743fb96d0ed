"""The report page's frame: its style, its script, and the one function that puts a body into it."""

from __future__ import annotations

import json
from html import escape
from string import Template

from labkit.chart import style

STYLE = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #24292f; --muted: #59636e; --line: #d8dee4; --tint: #f6f8fa; --link: #0969da; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #0d1117; --ink: #e6edf3; --muted: #9da7b3; --line: #30363d; --tint: #161b22; --link: #58a6ff; }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 1.0625rem/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif; }
header, main, footer { max-width: 72rem; margin: 0 auto; padding: 0 clamp(1rem, 4vw, 2.5rem); }
header { padding-top: clamp(1.5rem, 5vw, 3.5rem); }
h1, h2, h3 { line-height: 1.2; text-wrap: balance; letter-spacing: -0.01em; }
h1 { font-size: clamp(1.75rem, 1.3rem + 2vw, 2.5rem); margin: 0 0 0.5rem; }
h2 { font-size: 1.5rem; margin: 3.5rem 0 0.75rem; padding-top: 1.25rem; border-top: 1px solid var(--line); }
h3 { font-size: 1.125rem; margin: 2.25rem 0 0.25rem; overflow-wrap: anywhere; }
p, li, dd { max-width: 44rem; }
.lede { font-size: 1.2rem; color: var(--muted); margin: 0 0 1.5rem; }
a { color: var(--link); }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
.skip { position: absolute; left: -100vw; } .skip:focus { left: 1rem; top: 0.5rem; background: var(--paper); padding: 0.25rem 0.75rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.25rem 1.5rem; margin: 1rem 0; font-size: 0.95rem; }
dt { color: var(--muted); } dd { margin: 0; overflow-wrap: anywhere; }
code { font: 0.9em ui-monospace, SFMono-Regular, Menlo, "DejaVu Sans Mono", monospace; }
.wide { overflow-x: auto; margin: 1rem 0; border: 1px solid var(--line); border-radius: 8px; }
table { border-collapse: collapse; width: 100%; font-size: 0.9rem; line-height: 1.35; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--muted); padding: 0.6rem 0.75rem; font-size: 0.85rem; }
.wide caption { position: sticky; left: 0; max-width: min(100vw - 3rem, 44rem); }
th, td { padding: 0.4rem 0.75rem; border-top: 1px solid var(--line); white-space: nowrap; vertical-align: baseline; }
thead th { background: var(--tint); font-weight: 600; white-space: normal; vertical-align: bottom; min-width: 4.5rem; }
tbody th { font-weight: 500; position: sticky; left: 0; background: var(--paper); }
tbody th[scope=rowgroup] { font-weight: 600; background: var(--tint); }
tbody tr:hover td, tbody tr:hover th[scope=row] { background: var(--tint); }
figure { margin: 0; } figcaption { color: var(--muted); font-size: 0.95rem; max-width: 44rem; margin-bottom: 0.5rem; }
.key { display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; list-style: none; padding: 0; margin: 0.5rem 0; font-size: 0.85rem; max-width: none; }
.key svg { vertical-align: -0.15em; } .key [stroke="#24292f"] { stroke: var(--ink); }
.across { overflow-x: auto; } .plot { width: 100%; } .plot svg { max-width: 100%; }
details { margin: 0.5rem 0 1.5rem; } summary { cursor: pointer; color: var(--link); padding: 0.35rem 0; }
footer { color: var(--muted); font-size: 0.9rem; padding-top: 2rem; padding-bottom: 3rem; margin-top: 3rem; }
@media (max-width: 36rem) { dl { grid-template-columns: 1fr; } dt { margin-top: 0.5rem; } .wide { margin-left: -0.5rem; margin-right: -0.5rem; } th, td { padding: 0.4rem 0.5rem; } }
@media print { details > * { display: block; } .wide { overflow: visible; } h2, h3, figcaption { break-after: avoid; } figure { break-inside: avoid; } }
"""  # noqa: E501  one rule a line reads best

SCRIPT = """
const dark = matchMedia('(prefers-color-scheme: dark)');
const night = $night;
const swapped = text => Object.entries(night).reduce((all, [day, dusk]) => all.replaceAll(day, dusk), text);
const themed = text => JSON.parse(dark.matches ? swapped(text) : text);
function draw(plot) {
  const drawing = themed(document.getElementById(plot.id + '-drawing').textContent);
  if (!plot.classList.contains('js-plotly-plot')) plot.replaceChildren();
  return Plotly.react(plot, drawing.data, drawing.layout, $config);
}
// A chart is drawn once it has a place on the page: one that is folded away has no width yet.
const watch = new IntersectionObserver(seen => seen.filter(one => one.isIntersecting).forEach(one => {
  watch.unobserve(one.target); draw(one.target);
}), { rootMargin: '50000px' });
document.querySelectorAll('.plot').forEach(plot => watch.observe(plot));
dark.addEventListener('change', () => document.querySelectorAll('.js-plotly-plot').forEach(draw));
"""

# The policy lets the page load nothing at all from anywhere: what it needs is in it.
PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>$title</title>
<style>$style</style>
</head>
<body>
$body
<script>$plotly</script>
<script>$script</script>
</body>
</html>
""")  # noqa: E501  an attribute cannot be broken

NIGHT = {style.INK: "#e6edf3", style.MUTED: "#9da7b3", style.GRID: "#30363d", style.PAPER: "#0d1117"}


def page_html(title: str, body: str) -> str:
    """Return the whole page around `body`, with plotly's script inside so that it opens without internet."""
    from plotly.offline import get_plotlyjs

    script = Template(SCRIPT).substitute(night=json.dumps(NIGHT), config=json.dumps(dict(style.CONFIG)))
    return PAGE.substitute(title=escape(title), style=STYLE, body=body, plotly=get_plotlyjs(), script=script)


def script_json(value: object) -> str:
    """Return JSON that cannot end the <script> element it stands in."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")
