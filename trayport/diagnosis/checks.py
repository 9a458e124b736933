"""``Check`` and ``Diagnosis``: what was found, and what to do about it."""

from __future__ import annotations

from typing import Literal, TypeAlias

from attrs import field, frozen

from .._redact import redacted

__all__ = ["NAMES", "Check", "Diagnosis", "Verdict", "not_checked"]

Verdict: TypeAlias = Literal["ok", "note", "warning", "failure"]

_MARKS: dict[Verdict, str] = {"ok": "ok", "note": "note", "warning": "WARN", "failure": "FAIL"}
"""By rising gravity."""
_GRAVITY = list(_MARKS)

NAMES = (
    "versions", "settings", "key", "cache", "limit folder", "certificates", "proxy", "limit", "reference API",
    "analytics API", "clock", "access", "own trades", "intraday", "order books",
)  # fmt: skip
"""Every check, in order: what comes later needs what comes before it."""
_WIDTH = max(map(len, NAMES))
# A server's own words can be long; whoever wants them all has the error.
_LONGEST = 600


def _line(text: str) -> str:
    """One line without a key, and without what would move a terminal's cursor."""
    shown = "".join(letter if letter.isprintable() else " " for letter in redacted(text)[:_LONGEST])
    return " ".join(shown.split())


@frozen
class Check:
    """One thing that was looked at.

    ``verdict`` is ``"ok"``, ``"note"`` (a fact, or what could not be looked at), ``"warning"`` (it works, but not as
    it should) or ``"failure"``; ``remedy`` says what to do, where something can be done. Its ``str`` is one line.
    """

    name: str
    verdict: Verdict
    finding: str = field(converter=_line)
    remedy: str = field(default="", converter=_line)

    def __str__(self) -> str:
        advice = f" -> {self.remedy}" if self.remedy else ""
        return f"{_MARKS[self.verdict]:4}  {self.name:{_WIDTH}}  {self.finding}{advice}"


def not_checked(name: str, why: str) -> Check:
    """What cannot be looked at, since something else is in the way."""
    return Check(name, "note", f"not checked: {why}")


@frozen(repr=False)
class Diagnosis:
    """What was found, a ``Check`` for each thing that has to be right; ``str`` and ``repr`` are a line for each."""

    checks: tuple[Check, ...]

    @property
    def worst(self) -> Verdict:
        """The gravest verdict."""
        return max((check.verdict for check in self.checks), key=_GRAVITY.index)

    def __repr__(self) -> str:
        return "\n".join(map(str, self.checks))
