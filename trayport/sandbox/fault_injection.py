"""What goes wrong on purpose: which requests are struck, and what becomes of their answers."""

from __future__ import annotations

import math
import os
import re
import threading
import tomllib
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
from attrs import evolve, field, fields_dict, frozen

from . import hashing
from .error_responses import page
from .listener import BODILESS, HttpResponse

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TEXT = re.compile(r"[\t\x20-\x7e\xa0-\xff]*")
# What these say is worked out from the body as it is sent.
_FRAMING = {"content-length", "content-encoding", "transfer-encoding", "connection"}
_DAY = 86_400
_DECADE = 3653 * _DAY
_CENTURY = 10 * _DECADE


def _whole(value: object, least: float = 0) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _between(value: object, least: float, most: float) -> bool:
    # Infinities and what is no number lie between nothing.
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most


def _headers(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(name, str)
        and isinstance(text, str)
        and _TOKEN.fullmatch(name)
        and _TEXT.fullmatch(text)
        and name.lower() not in _FRAMING
        for name, text in value.items()
    )


def _copied(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value


_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "path": (
        lambda value: isinstance(value, str) and value[:1] in ("/", "*", "?", "["),
        "a pattern for paths below the API's prefix, such as '/trades', '/orders/*' or '*'",
    ),
    "skip": (_whole, "a whole number from 0, such as 2 to spare the first two"),
    "times": (
        lambda value: value is None or _whole(value, 1),
        "a whole number from 1; None, or inf in a file, stands for ever",
    ),
    "probability": (
        lambda value: _between(value, 0, 1) and value > 0,
        "above 0 and at most 1, such as 0.1 for one in ten",
    ),
    "seed": (lambda value: _whole(value, -math.inf), "a whole number, such as 1"),
    "status": (
        lambda value: value is None or (_whole(value) and 200 <= value <= 599),
        "a status from 200 to 599, such as 503",
    ),
    "headers": (
        _headers,
        "headers and their texts, such as {'Retry-After': '30'}; how long a body is and how it is packed is changed "
        "with length and corrupt, and a connection ended with cut",
    ),
    "body": (lambda value: value is None or isinstance(value, str), "a text, such as '[{'"),
    "html": (lambda value: isinstance(value, bool), "True or False"),
    "delay": (lambda value: _between(value, 0, _DAY), "seconds from 0 up to a day, such as 2.5"),
    "stall": (lambda value: _between(value, 0, _DAY), "seconds from 0 up to a day, such as 2.5"),
    "reset": (lambda value: isinstance(value, bool), "True or False"),
    "cut": (
        lambda value: value is None or _between(value, 0, 1),
        "a share of the body from 0 to 1, such as 0.5 for half of it",
    ),
    "corrupt": (lambda value: isinstance(value, bool), "True or False"),
    "length": (
        lambda value: value is None or (_whole(value, -math.inf) and value != 0),
        "a whole number other than 0, such as 10 to promise ten bytes too many",
    ),
    "redirect": (
        lambda value: value is None or (isinstance(value, str) and value != "" and bool(_TEXT.fullmatch(value))),
        "where to go instead, such as 'https://example.com/login'",
    ),
    "clock": (
        lambda value: _between(value, -_DECADE, _DECADE),
        "seconds, at most ten years of them, such as 3600 for an hour ahead",
    ),
}
_SELECT = ("path", "skip", "times", "probability", "seed")
_EFFECTS = tuple(name for name in _RULES if name not in _SELECT)
_OF_THE_BODY = ("body", "html", "stall", "cut", "corrupt", "length")
_APART: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("reset", ("status", "headers", "redirect", *_OF_THE_BODY), "there is no answer then"),
    ("redirect", ("status", *_OF_THE_BODY), "it is a 302 without a body"),
    ("body", ("html",), "it is one body or the other"),
    ("cut", ("corrupt", "length"), "only one of them would be seen"),
    ("corrupt", ("length",), "only one of them would be seen"),
)


def _checked(fault: Any, attribute: Any, value: object) -> None:
    good, rule = _RULES[attribute.name]
    if not good(value):
        raise ValueError(f"{attribute.name}={value!r} is not {rule}")


@frozen(kw_only=True)
class Fault:
    """One thing that goes wrong, the requests that it strikes first.

    >>> Fault(path="/trades", skip=2, status=503, headers={"Retry-After": "30"}).effects
    ('status', 'headers')
    """

    path: str = field(default="*", validator=_checked)
    """The paths that it strikes, below the API's prefix: ``*`` stands for anything, case counts."""
    skip: int = field(default=0, validator=_checked)
    """So many of the requests for such paths pass first."""
    times: int | None = field(default=1, validator=_checked)
    """It strikes so many requests; None for ever."""
    probability: float = field(default=1.0, validator=_checked)
    """The share of the requests that it strikes, the same ones each time."""
    seed: int = field(default=0, validator=_checked)
    """Another seed strikes others."""

    status: int | None = field(default=None, validator=_checked)
    """Answer with it; unless there is a body or a page too, with what the API says then."""
    headers: Mapping[str, str] = field(default={}, converter=_copied, validator=_checked, hash=False)
    """Put them on the answer, instead of its own of the same name."""
    body: str | None = field(default=None, validator=_checked)
    """Answer with it; 200 unless there is a status too."""
    html: bool = field(default=False, validator=_checked)
    """Answer with a gateway's page; 200 unless there is a status too."""
    delay: float = field(default=0.0, validator=_checked)
    """Wait so many seconds before the answer."""
    stall: float = field(default=0.0, validator=_checked)
    """Wait so many seconds in the middle of the body."""
    reset: bool = field(default=False, validator=_checked)
    """Reset the connection instead of an answer."""
    cut: float | None = field(default=None, validator=_checked)
    """End the connection, unannounced, after this share of the body."""
    corrupt: bool = field(default=False, validator=_checked)
    """Pack the body, and spoil it so that it cannot be unpacked."""
    length: int | None = field(default=None, validator=_checked)
    """Promise so many bytes more than there are, or fewer, and end the connection after them."""
    redirect: str | None = field(default=None, validator=_checked)
    """Send the client there, with 302."""
    clock: float = field(default=0.0, validator=_checked)
    """Let the server's clock jump by so many seconds, from this request on."""

    def __attrs_post_init__(self) -> None:
        if not self.effects:
            raise ValueError(f"the fault does nothing; give it one of {', '.join(_EFFECTS)}")
        apart = _APART
        if self.status in BODILESS:
            apart = ((f"status={self.status}", _OF_THE_BODY, "it has no body"), *apart)
        for name, others, reason in apart:
            if name.partition("=")[0] in self.effects:
                for other in others:
                    if other in self.effects:
                        raise ValueError(f"{name} does not go with {other}: {reason}; make two faults of them")

    @property
    def effects(self) -> tuple[str, ...]:
        """The names of what it does."""
        usual = fields_dict(Fault)
        return tuple(name for name in _EFFECTS if getattr(self, name) != usual[name].default)

    @property
    def spoils_body(self) -> bool:
        """Does something happen to the body on the line?"""
        return not {"stall", "cut", "corrupt", "length"}.isdisjoint(self.effects)


# --- which requests --------------------------------------------------------------------------------------------------


class Script:
    """Faults, and how far they have got.

    Each counts every request for its paths, whichever fault strikes it; but only a request that it strikes itself is
    one of its ``times``.
    """

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = (faults,) if isinstance(faults, Fault) else tuple(faults)
        if wrong := [fault for fault in self.faults if not isinstance(fault, Fault)]:
            raise ValueError(f"faults has {wrong[0]!r}, which is no Fault; write Fault(...)")
        self._met = [0] * len(self.faults)
        self._struck = [0] * len(self.faults)
        self._lock = threading.Lock()
        self.clock = 0.0
        """How far the server's clock has jumped."""

    def meet(self, path: str) -> Fault | None:
        """The first fault that strikes this request, if one does."""
        striking = None
        with self._lock:
            for number, fault in enumerate(self.faults):
                if not fnmatchcase(path, fault.path):
                    continue
                count = self._met[number]
                self._met[number] += 1
                if striking is None and self._strikes(number, fault, count):
                    self._struck[number] += 1
                    self.clock = max(-_CENTURY, min(_CENTURY, self.clock + fault.clock))
                    striking = fault
        return striking

    def _strikes(self, number: int, fault: Fault, count: int) -> bool:
        if count < fault.skip or (fault.times is not None and self._struck[number] >= fault.times):
            return False
        # Its place in the script has a part in it, lest faults of one seed hide each other.
        return fault.probability == 1 or _share(hashing.key("fault", number, fault.seed), count) < fault.probability


def _share(key: int, count: int) -> float:
    """A number from 0 up to 1, itself left out, in steps of 2**-53, which a float holds exactly."""
    return int(hashing.hash64(key, np.array([count]))[0] >> np.uint64(11)) / (1 << 53)


def read_faults(path: str | os.PathLike[str]) -> tuple[Fault, ...]:
    """The faults of a TOML file, a table each.

    ::

        [[fault]]
        path = "/trades"
        skip = 2
        times = inf         # for ever
        status = 503
        headers = { Retry-After = "30" }
    """
    try:
        document = tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))  # Notepad begins a file with a mark
    except ValueError as error:
        raise ValueError(f"{path} is no TOML in UTF-8: {error}") from None
    tables = document.pop("fault", [])
    if document or not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ValueError(f"{path} holds something else than tables that begin with [[fault]], each for one fault")
    return tuple(_read(table, f"{path}, fault {number}") for number, table in enumerate(tables, 1))


def _read(table: dict[str, Any], where: str) -> Fault:
    for name in table:
        if name not in _RULES:
            near = get_close_matches(name, _RULES, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(_RULES)}"
            raise ValueError(f"{where}: there is no {name!r}; {hint}")
    if table.get("times") == math.inf:
        table = {**table, "times": None}
    try:
        return Fault(**table)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


# --- what becomes of the answer --------------------------------------------------------------------------------------


def struck(fault: Fault, honest: Callable[[], HttpResponse], worded: Callable[[int], HttpResponse]) -> HttpResponse:
    """What is answered when a fault strikes; ``honest`` is asked only if something of its answer is sent.

    ``worded`` is what the API says with a status. What happens on the line is left to the listener; an answer that is
    never sent has the status 0.
    """
    if fault.reset:
        return HttpResponse(0, b"", fault=fault)
    answer = _instead(fault, worded) or honest()
    added = {name.lower() for name in fault.headers}
    kept = tuple((name, text) for name, text in answer.headers if name.lower() not in added)
    return evolve(answer, headers=(*kept, *fault.headers.items()), fault=fault)


def _instead(fault: Fault, worded: Callable[[int], HttpResponse]) -> HttpResponse | None:
    """The answer that replaces the honest one, if one does."""
    status = 200 if fault.status is None else fault.status
    if fault.redirect is not None:
        return HttpResponse(302, b"", headers=(("Location", fault.redirect),))
    if fault.body is not None:
        return HttpResponse(status, fault.body.encode())
    if fault.html:
        return HttpResponse(status, page(status).encode(), "text/html")
    if fault.status is None:
        return None
    return worded(status) if status >= 400 else HttpResponse(status, b"")
