"""``Check`` and ``Diagnosis``: the results of ``doctor``."""

from __future__ import annotations

from typing import Literal, TypeAlias

from attrs import field, frozen

from .._redact import redacted

__all__ = ["NAMES", "Check", "Diagnosis", "Verdict", "not_checked"]

Verdict: TypeAlias = Literal["ok", "note", "warning", "failure"]

# In rising severity.
_MARKS: dict[Verdict, str] = {"ok": "ok", "note": "note", "warning": "WARN", "failure": "FAIL"}
_SEVERITY = list(_MARKS)

# In the order of the checks: a check relies on those before it.
NAMES = (
    "versions", "settings", "key", "cache", "limit folder", "certificates", "proxy", "limit", "reference API",
    "analytics API", "clock", "access", "own trades", "intraday", "order books",
)  # fmt: skip
_WIDTH = max(map(len, NAMES))
_MAX_LETTERS = 600  # a server's own words can be long; the error has all of them


def _to_line(text: str | None) -> str:
    """Return the text on one line, without a key and without control characters for a terminal."""
    shown = "".join(letter if letter.isprintable() else " " for letter in redacted(text or "")[:_MAX_LETTERS])
    return " ".join(shown.split())


@frozen
class Check:
    """The result of one check; its ``str`` is one line.

    Parameters
    ----------
    name : str
        The subject, such as ``"proxy"``.
    verdict : str
        ``"ok"``, ``"note"`` (a fact, or a check that could not be made), ``"warning"`` (it works, but not as it
        should) or ``"failure"``.
    finding : str
        The result in words.
    remedy : str, default ""
        The action that mends it, if there is one.
    """

    name: str
    verdict: Verdict
    finding: str = field(converter=_to_line)
    remedy: str = field(default="", converter=_to_line)

    def __str__(self) -> str:
        remedy = f" -> {self.remedy}" if self.remedy else ""
        return f"{_MARKS[self.verdict]:4}  {self.name:{_WIDTH}}  {self.finding}{remedy}"


def not_checked(name: str, reason: str) -> Check:
    """Return the note that a check could not be made."""
    return Check(name, "note", f"not checked: {reason}")


@frozen(repr=False)
class Diagnosis:
    """The results of all checks; ``str`` and ``repr`` have one line for each.

    Parameters
    ----------
    checks : tuple of Check
        The results, in the order of the checks.
    """

    checks: tuple[Check, ...]

    @property
    def worst(self) -> Verdict:
        """The most severe verdict."""
        return max((check.verdict for check in self.checks), key=_SEVERITY.index)

    def __repr__(self) -> str:
        return "\n".join(map(str, self.checks))
