"""Fault injection: which requests fail on purpose, and how their responses differ."""

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
from .error_responses import gateway_page
from .listener import BODILESS, HttpResponse

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TEXT = re.compile(r"[\t\x20-\x7e\xa0-\xff]*")
# The listener computes these headers from the body that it sends.
_FRAMING = {"content-length", "content-encoding", "transfer-encoding", "connection"}
_DAY = 86_400
_DECADE = 3653 * _DAY
_CENTURY = 10 * _DECADE


def _is_whole(value: object, least: float = 0) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_between(value: object, least: float, most: float) -> bool:
    # Infinity and NaN fail the comparison.
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most


def _are_headers(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(name, str)
        and isinstance(text, str)
        and _TOKEN.fullmatch(name)
        and _TEXT.fullmatch(text)
        and name.lower() not in _FRAMING
        for name, text in value.items()
    )


def _copy_headers(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value


_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "path": (
        lambda value: isinstance(value, str) and value[:1] in ("/", "*", "?", "["),
        "a pattern for paths below the API's prefix, such as '/trades', '/orders/*' or '*'",
    ),
    "skip": (_is_whole, "a whole number from 0, such as 2 to skip the first two requests"),
    "times": (
        lambda value: value is None or _is_whole(value, 1),
        "a whole number from 1; None, or inf in a file, means all requests",
    ),
    "probability": (
        lambda value: _is_between(value, 0, 1) and value > 0,
        "above 0 and at most 1, such as 0.1 for one request in ten",
    ),
    "seed": (lambda value: _is_whole(value, -math.inf), "a whole number, such as 1"),
    "status": (
        lambda value: value is None or (_is_whole(value) and 200 <= value <= 599),
        "a status from 200 to 599, such as 503",
    ),
    "headers": (
        _are_headers,
        "headers and their values, such as {'Retry-After': '30'}; to change the length or the encoding of a body use "
        "length and corrupt, to close a connection use cut",
    ),
    "body": (lambda value: value is None or isinstance(value, str), "a text, such as '[{'"),
    "html": (lambda value: isinstance(value, bool), "True or False"),
    "delay": (lambda value: _is_between(value, 0, _DAY), "seconds from 0 up to a day, such as 2.5"),
    "stall": (lambda value: _is_between(value, 0, _DAY), "seconds from 0 up to a day, such as 2.5"),
    "reset": (lambda value: isinstance(value, bool), "True or False"),
    "cut": (
        lambda value: value is None or _is_between(value, 0, 1),
        "a share of the body from 0 to 1, such as 0.5 for half of it",
    ),
    "corrupt": (lambda value: isinstance(value, bool), "True or False"),
    "length": (
        lambda value: value is None or (_is_whole(value, -math.inf) and value != 0),
        "a whole number other than 0, such as 10 for a Content-Length that is ten bytes too large",
    ),
    "redirect": (
        lambda value: value is None or (isinstance(value, str) and value != "" and bool(_TEXT.fullmatch(value))),
        "the address of the redirect, such as 'https://example.com/login'",
    ),
    "clock": (
        lambda value: _is_between(value, -_DECADE, _DECADE),
        "seconds, at most ten years, such as 3600 for an hour ahead",
    ),
}
_SELECTION = ("path", "skip", "times", "probability", "seed")
_EFFECTS = tuple(name for name in _RULES if name not in _SELECTION)
_BODY_EFFECTS = ("body", "html", "stall", "cut", "corrupt", "length")
_CONFLICTS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("reset", ("status", "headers", "redirect", *_BODY_EFFECTS), "there is no response then"),
    ("redirect", ("status", *_BODY_EFFECTS), "a redirect is a 302 without a body"),
    ("body", ("html",), "a response has one body"),
    ("cut", ("corrupt", "length"), "only one of them would be visible"),
    ("corrupt", ("length",), "only one of them would be visible"),
)


def _check_value(fault: Any, attribute: Any, value: object) -> None:
    is_valid, rule = _RULES[attribute.name]
    if not is_valid(value):
        raise ValueError(f"{attribute.name}={value!r} is not {rule}")


@frozen(kw_only=True)
class Fault:
    """One failure: the requests that it affects, and its effects on their responses.

    >>> Fault(path="/trades", skip=2, status=503, headers={"Retry-After": "30"}).effects
    ('status', 'headers')
    """

    path: str = field(default="*", validator=_check_value)
    """Pattern of the paths below the API's prefix; ``*`` matches anything, and case matters."""
    skip: int = field(default=0, validator=_check_value)
    """Number of matching requests that pass before the first one fails."""
    times: int | None = field(default=1, validator=_check_value)
    """Maximum number of requests that fail; None for no maximum."""
    probability: float = field(default=1.0, validator=_check_value)
    """Share of the matching requests that fail; always the same ones."""
    seed: int = field(default=0, validator=_check_value)
    """Another seed selects other requests."""

    status: int | None = field(default=None, validator=_check_value)
    """Status of the response; unless ``body`` or ``html`` is given, with the API's own body for it."""
    headers: Mapping[str, str] = field(default={}, converter=_copy_headers, validator=_check_value, hash=False)
    """Additional headers; they replace the response's own headers of the same name."""
    body: str | None = field(default=None, validator=_check_value)
    """Body of the response; its status is 200 unless ``status`` is given."""
    html: bool = field(default=False, validator=_check_value)
    """If True, respond with a gateway's HTML page; its status is 200 unless ``status`` is given."""
    delay: float = field(default=0.0, validator=_check_value)
    """Seconds to wait before the response."""
    stall: float = field(default=0.0, validator=_check_value)
    """Seconds to wait in the middle of the body."""
    reset: bool = field(default=False, validator=_check_value)
    """If True, reset the connection instead of a response."""
    cut: float | None = field(default=None, validator=_check_value)
    """Share of the body after which the connection is closed."""
    corrupt: bool = field(default=False, validator=_check_value)
    """If True, compress the body and damage it, so that it cannot be decoded."""
    length: int | None = field(default=None, validator=_check_value)
    """Difference in bytes between ``Content-Length`` and the body, after which the connection is closed."""
    redirect: str | None = field(default=None, validator=_check_value)
    """Address of a redirect with status 302."""
    clock: float = field(default=0.0, validator=_check_value)
    """Seconds by which the server's clock jumps at this request."""

    def __attrs_post_init__(self) -> None:
        if not self.effects:
            raise ValueError(f"the fault has no effect; give it one of {', '.join(_EFFECTS)}")
        conflicts = _CONFLICTS
        if self.status in BODILESS:
            conflicts = ((f"status={self.status}", _BODY_EFFECTS, "such a response has no body"), *conflicts)
        for name, others, reason in conflicts:
            if name.partition("=")[0] in self.effects:
                for other in others:
                    if other in self.effects:
                        raise ValueError(f"{name} and {other} exclude each other: {reason}; write two faults")

    @property
    def effects(self) -> tuple[str, ...]:
        """Names of the fields that have an effect on the response."""
        fields = fields_dict(Fault)
        return tuple(name for name in _EFFECTS if getattr(self, name) != fields[name].default)

    @property
    def alters_body(self) -> bool:
        """True if the fault changes how the body is sent."""
        return not {"stall", "cut", "corrupt", "length"}.isdisjoint(self.effects)


# --- selection of requests -------------------------------------------------------------------------------------------


class Script:
    """The faults of a sandbox with their counts.

    Each fault counts all requests that match its path for ``skip``; for ``times`` it counts only the requests that it
    affects itself.
    """

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = (faults,) if isinstance(faults, Fault) else tuple(faults)
        if wrong := [fault for fault in self.faults if not isinstance(fault, Fault)]:
            raise ValueError(f"faults contains {wrong[0]!r}, which is no Fault; write Fault(...)")
        self._matched = [0] * len(self.faults)
        self._affected = [0] * len(self.faults)
        self._lock = threading.Lock()
        self.clock = 0.0
        """Seconds by which the server's clock has jumped."""

    def next_fault(self, path: str) -> Fault | None:
        """Count a request for a path; return the first fault that affects it, None if none does."""
        found = None
        with self._lock:
            for number, fault in enumerate(self.faults):
                if not fnmatchcase(path, fault.path):
                    continue
                count = self._matched[number]
                self._matched[number] += 1
                if found is None and self._affects(number, fault, count):
                    self._affected[number] += 1
                    self.clock = max(-_CENTURY, min(_CENTURY, self.clock + fault.clock))
                    found = fault
        return found

    def _affects(self, number: int, fault: Fault, count: int) -> bool:
        if count < fault.skip or (fault.times is not None and self._affected[number] >= fault.times):
            return False
        # The number of the fault is part of the hash, so that two faults of one seed select different requests.
        return fault.probability == 1 or _share(hashing.key("fault", number, fault.seed), count) < fault.probability


def _share(key: int, count: int) -> float:
    """Return a number in [0, 1), a multiple of 2**-53, which a float represents exactly."""
    return int(hashing.hash64(key, np.array([count]))[0] >> np.uint64(11)) / (1 << 53)


def read_faults(path: str | os.PathLike[str]) -> tuple[Fault, ...]:
    """Return the faults of a TOML file with a table for each.

    ::

        [[fault]]
        path = "/trades"
        skip = 2
        times = inf         # all further requests
        status = 503
        headers = { Retry-After = "30" }

    Parameters
    ----------
    path : str or Path
        The file, in UTF-8.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        The file is no TOML, or a table is no fault.
    """
    try:
        document = tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))  # Notepad writes a byte order mark
    except ValueError as error:
        raise ValueError(f"{path} is no TOML in UTF-8: {error}") from None
    tables = document.pop("fault", [])
    if document or not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ValueError(f"{path} may contain only tables that begin with [[fault]], one for each fault")
    return tuple(_parse_fault(table, f"{path}, fault {number}") for number, table in enumerate(tables, 1))


def _parse_fault(table: dict[str, Any], where: str) -> Fault:
    for name in table:
        if name not in _RULES:
            near = get_close_matches(name, _RULES, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(_RULES)}"
            raise ValueError(f"{where}: a fault has no field {name!r}; {hint}")
    if table.get("times") == math.inf:
        table = {**table, "times": None}
    try:
        return Fault(**table)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


# --- effects on the response -----------------------------------------------------------------------------------------


def inject(
    fault: Fault, regular: Callable[[], HttpResponse], error_response: Callable[[int], HttpResponse]
) -> HttpResponse:
    """Return the response to a request with a fault.

    The listener applies the effects on the connection and on the body. A response that is never sent has status 0.

    Parameters
    ----------
    fault : Fault
        The fault.
    regular : callable
        Returns the response without the fault; called only if a part of it is sent.
    error_response : callable
        Returns the API's own response of a status.
    """
    if fault.reset:
        return HttpResponse(0, b"", fault=fault)
    response = _replacement(fault, error_response) or regular()
    added = {name.lower() for name in fault.headers}
    kept = tuple((name, text) for name, text in response.headers if name.lower() not in added)
    return evolve(response, headers=(*kept, *fault.headers.items()), fault=fault)


def _replacement(fault: Fault, error_response: Callable[[int], HttpResponse]) -> HttpResponse | None:
    """Return the response that replaces the regular one, None if the regular one is sent."""
    status = 200 if fault.status is None else fault.status
    if fault.redirect is not None:
        return HttpResponse(302, b"", headers=(("Location", fault.redirect),))
    if fault.body is not None:
        return HttpResponse(status, fault.body.encode())
    if fault.html:
        return HttpResponse(status, gateway_page(status).encode(), "text/html")
    if fault.status is None:
        return None
    return error_response(status) if status >= 400 else HttpResponse(status, b"")
