"""The sandbox's HTML page: addresses, keys, paths and switches, the last requests, and the rules that they broke."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

import attrs

from . import model
from .keys import ROUTES, Rights
from .paths import PATHS, REFERENCE_PATHS, Path
from .record import Asked
from .switches import Switches

if TYPE_CHECKING:
    from .server import Sandbox

# Number of requests and of rules on the page.
_MAX_REQUESTS, _MAX_RULES = 25, 12
# Number of characters of a value, of all parameters of a request, and of a rule.
_VALUE, _REQUEST, _RULE = 48, 320, 200


def page(sandbox: Sandbox) -> str:
    """Return the page at ``/``, without scripts and external files; all texts of requests are shortened and escaped."""
    asked = list(sandbox.asked)
    return f"""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>trayport sandbox</title>
<link rel="icon" href="data:,">
<style>{_STYLE}</style>
</head>
<body>
<header>
<h1>trayport sandbox</h1>
<p>Simulated servers for both APIs of Trayport on this computer: real names, ids and rules, invented trades.</p>
</header>
<main>
{_facts(sandbox)}
{_section("Keys", _keys(sandbox))}
{_section("Last requests", _requests(asked, sandbox.answered))}
{_section("Broken rules", _violations(asked))}
{_section("Analytics API", _paths(PATHS))}
{_section("Reference Data API", _paths(REFERENCE_PATHS))}
{_section("Switches", _switches(sandbox.switches))}
</main>
</body>
</html>
"""


def describe_rights(rights: Rights) -> str:
    """Return the entitlements of a key in words, such as ``"all but the current UTC day"``."""
    missing = ["the current UTC day"] * (not rights.intraday)
    missing += ["own trades and orders"] * (not rights.private) + ["order books"] * (not rights.books)
    missing += [f"the route {name}" for _, name in ROUTES if name not in rights.routes] + sorted(rights.outside)
    listed = " and ".join(part for part in (", ".join(missing[:-1]), *missing[-1:]) if part)
    return f"all but {listed}" if missing else "all"


# --- sections --------------------------------------------------------------------------------------------------------


def _facts(sandbox: Sandbox) -> str:
    opened, still = sandbox.connections
    facts = {
        "Analytics API": _code(sandbox.analytics_url),
        "Reference Data API": _code(sandbox.reference_url),
        "Limits": "8 requests a second, 480 a minute" if sandbox.limits else "off",
        "Clock": _clock(sandbox),
        "Market": f"seed {sandbox.seed}, volume {sandbox.volume}, model {model.VERSION}",
        "Connections": f"{opened} opened, {still} open",
    }
    return f"<dl>{''.join(f'<div><dt>{name}</dt><dd>{fact}</dd></div>' for name, fact in facts.items())}</dl>"


def _clock(sandbox: Sandbox) -> str:
    state = "runs" if sandbox.now is None else "is fixed"
    moved = f", moved by {sandbox.jumped:g} s" if sandbox.jumped else ""
    return f"{sandbox.clock:%Y-%m-%d %H:%M:%S} UTC, {state}{moved}"


def _keys(sandbox: Sandbox) -> str:
    rows = (
        f"<tr><td>{_code(name)}{_tag('in settings') if name == sandbox.key else ''}</td>"
        f"<td>entitled to {describe_rights(rights)}</td></tr>"
        for name, rights in sandbox.keys.items()
    )
    return _table("keys", ("Key", "Entitlements"), rows)


def _requests(asked: list[Asked], answered: int) -> str:
    if not asked:
        return "<p>None yet.</p>"
    rows = (
        f"<tr><td>{number}</td><td>{_request(one)}</td>"
        f'<td><b class="{_color(one)}">{one.status or "none"}</b>{_tag("fault") if one.fault else ""}</td></tr>'
        for number, one in zip(range(answered, 0, -1), reversed(asked[-_MAX_REQUESTS:]), strict=False)
    )
    return _table("requests", ("No.", "Request", "Status"), rows)


def _color(asked: Asked) -> str:
    if asked.status >= 400 or asked.status == 0:  # 0: no response was sent
        return "bad"
    return "odd" if asked.broken or asked.fault else "good"


def _request(asked: Asked) -> str:
    """Return path and parameters, cut to a maximum length, and the broken rules."""
    parts, room = list[str](), _REQUEST
    for name, value in asked.params:
        name, value = _short(name, _VALUE), _short(value, _VALUE)
        room -= len(name) + len(value)
        if room < 0:
            parts.append(f"<i>and {len(asked.params) - len(parts)} more</i>")
            break
        parts.append(f"<span>{html.escape(name)}=<b>{html.escape(value)}</b></span>")
    broken = "".join(f"<p>{html.escape(_short(rule, _RULE))}</p>" for rule in asked.broken[:3])
    return f"{_code(_short(asked.api + asked.path, _VALUE * 2))} {' '.join(parts)}{broken}"


def _violations(asked: list[Asked]) -> str:
    counts = count_violations(reversed(asked))  # equally frequent rules: the latest comes first
    if not counts:
        return "<p>None yet.</p>"
    rows = (
        f"<tr><td>{count}</td><td>{_code(_short(path, _VALUE * 2))} {html.escape(_short(rule, _RULE))}</td></tr>"
        for (path, rule), count in counts.most_common(_MAX_RULES)
    )
    more = len(counts) - _MAX_RULES
    return _table("rules", ("Times", "Rule"), rows) + (f"<p>And {more} more.</p>" if more > 0 else "")


def count_violations(asked: Iterable[Asked]) -> Counter[tuple[str, str]]:
    """Return the number of violations of each rule by path, as ``(path, rule)``."""
    return Counter((one.path, rule) for one in asked for rule in one.broken)


def _paths(paths: dict[str, Path]) -> str:
    rows = (f"<tr><td>{_code(name)}</td><td>{_parameters(path)}</td></tr>" for name, path in paths.items())
    return _table("paths", ("Path", "Parameters"), rows)


def _parameters(path: Path) -> str:
    names = " ".join(map(_code, path.parameters)) or "<p>none</p>"
    fields = f"<p>optionalFields: {' '.join(map(_code, path.fields))}</p>" if path.fields else ""
    limits = [
        f"{path.days} days" if path.days else "",
        f"{path.long_days:,} in intervals of a day or more" if path.long_days else "",
        f"{path.points:,} points" if path.points else "",
        f"{path.items} items" if path.items > 1 else "",
    ]
    most = f"<p>At most {', '.join(filter(None, limits))}</p>" if any(limits) else ""
    return names + fields + most + (f"<p>From {path.since} on</p>" if path.since else "")


def _switches(switches: Switches) -> str:
    rows = []
    for field in attrs.fields(Switches):
        current, default = getattr(switches, field.name), field.default
        others = [f"{position}" for position in (default, *field.metadata["others"]) if position != current]
        tag = _tag("not the default") if current != default else ""
        text = re.sub("`(.*?)`", r"<code>\1</code>", html.escape(field.metadata["help"], quote=False))
        rows.append(
            f"<tr><td>{_code(field.name)}</td><td><b>{current}</b>{tag}<p>or {', '.join(others)}</p></td>"
            f"<td>{text}</td></tr>"
        )
    return _table("switches", ("Switch", "Position", "Meaning"), rows)


# --- markup ----------------------------------------------------------------------------------------------------------


def _section(title: str, body: str) -> str:
    return f"<section><h2>{title}</h2>\n{body}</section>"


def _table(kind: str, heads: tuple[str, ...], rows: Iterable[str]) -> str:
    head = "".join(f"<th>{name}</th>" for name in heads)
    return f'<table class="{kind}"><thead><tr>{head}</tr></thead>\n<tbody>{chr(10).join(rows)}</tbody></table>'


def _code(text: str) -> str:
    return f"<code>{html.escape(text)}</code>"


def _tag(text: str) -> str:
    return f" <em>{text}</em>"


def _short(text: str, most: int) -> str:
    """Return a text with at most ``most`` characters, with invisible ones replaced."""
    shown = text if len(text) <= most else f"{text[: most - 1]}…"
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in shown)


_STYLE = """
:root { --paper: #fbfbf9; --ink: #1d2327; --soft: #626b73; --line: #dcdfdc; --tint: #eef1ee; --name: #14504a;
  --good: #1a7f4b; --odd: #9a6700; --bad: #b3261e; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #15191c; --ink: #dfe4e6; --soft: #98a3aa; --line: #2e363b; --tint: #20272b; --name: #7fd1c4;
    --good: #56c58b; --odd: #dba642; --bad: #f2867c; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 1.5rem 1.25rem 3rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { margin: 0; font-size: 1.5rem; letter-spacing: -.01em; }
h2 { margin: 2rem 0 .4rem; font-size: 1.05rem; }
p { margin: .1rem 0; color: var(--soft); }
code, .requests span { font: .87em/1.5 ui-monospace, "SF Mono", Consolas, "DejaVu Sans Mono", monospace;
  overflow-wrap: anywhere; }
code { color: var(--name); }
.requests span { display: inline-block; max-width: 100%; margin-right: .35em; color: var(--soft); }
.requests code { margin-right: .4em; }
.requests span b { font-weight: 400; color: var(--ink); }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(17rem, 1fr)); gap: .7rem 1.5rem; margin: 1.2rem 0 0;
  padding: .9rem 1.1rem; background: var(--tint); border-radius: .5rem; }
dt { color: var(--soft); font-size: .8rem; }
dd { margin: 0; }
table { width: 100%; border-collapse: collapse; }
th, td { padding: .38rem .9rem .38rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-size: .8rem; font-weight: 400; }
th:last-child, td:last-child { padding-right: 0; }
td:first-child { white-space: nowrap; }
td p { font-size: .9em; }
.requests p { color: var(--odd); }
.requests td:first-child, .rules td:first-child { width: 3.5rem; color: var(--soft);
  font-variant-numeric: tabular-nums; }
.requests td:last-child { white-space: nowrap; }
.paths th:first-child { width: 1%; }
.paths code { margin-right: .3em; }
.paths td:first-child code, .switches td:first-child code { font-weight: 600; }
.paths td:last-child code { color: var(--ink); }
.good { color: var(--good); } .odd { color: var(--odd); } .bad { color: var(--bad); }
em { padding: 0 .45em; border: 1px solid; border-radius: 1em; color: var(--odd); font-size: .75rem; font-style: normal;
  white-space: nowrap; }
.keys em { color: var(--soft); }
@media (max-width: 40rem) {
  body { padding: 1rem .9rem 2rem; }
  .paths thead, .switches thead, .keys thead { display: none; }
  .paths td, .switches td, .keys td { display: block; padding: 0; border: 0; }
  .paths tr, .switches tr, .keys tr { display: block; padding: .5rem 0; border-bottom: 1px solid var(--line); }
  td:first-child { white-space: normal; }
  .requests td:first-child, .rules td:first-child { width: 2.2rem; padding-right: .5rem; } }
"""
