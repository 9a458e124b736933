"""Switches for unknown properties of the real service; the default is the safest reading.

Page numbers refer to the API guide, see docs/sources.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, get_args

import attrs
from attrs import frozen

Until: TypeAlias = Literal["exclusive", "inclusive"]
Stamps: TypeAlias = Literal["end", "start", "between"]
Order: TypeAlias = Literal["sorted", "shuffled"]
Throttling: TypeAlias = Literal[429, 403]
RetryAfter: TypeAlias = Literal["absent", "seconds", "date"]
Refusals: TypeAlias = Literal["problem", "message", "text", "html"]
Empty: TypeAlias = Literal["null", "zero", "absent"]
Dates: TypeAlias = Literal["absent", "null"]
Ids: TypeAlias = Literal["documented", "filled", "null"]


def _switch(positions: Any, default: Any, help: str, evidence: str) -> Any:
    """Return a field with one of a few positions."""
    allowed = get_args(positions)

    def check(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if value not in allowed:
            raise ValueError(f"{attribute.name}={value!r} is none of {', '.join(map(repr, allowed))}")

    other = tuple(position for position in allowed if position != default)
    return attrs.field(default=default, validator=check, metadata={"others": other, "help": help, "evidence": evidence})


# More than a year in hours, and more requests than any test makes.
_MAX = 10_000


def _number(other: int, help: str, evidence: str) -> Any:
    """Return a field with a whole number."""

    def check(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MAX:
            raise ValueError(f"{attribute.name}={value!r} must be a whole number from 0 to {_MAX}")

    return attrs.field(default=0, validator=check, metadata={"others": (other,), "help": help, "evidence": evidence})


@frozen(kw_only=True)
class Switches:
    """Readings of the points that the guide leaves open.

    ``docs/sandbox.md`` has a table of them, with the evidence that each field has here.
    """

    until: Until = _switch(
        Until,
        "exclusive",
        "Whether data at `until` are part of the range.",
        "Not documented. Users cut long ranges at touching ends and drop duplicates.",
    )
    """Whether ``until`` is part of the range. If it is ``"inclusive"``, a trade at ``until`` is in the response, and
    so are the whole candle that begins there, and the point of a book."""
    books: Stamps = _switch(
        Stamps,
        "end",
        "Position of a book's point within its interval.",
        "Inferred from a sample of the guide (p. 10): its first point is one interval after `from`.",
    )
    """Position of a book's point within its interval. ``"end"``: at the end of each interval, so at ``from`` plus 1, 2,
    3 … intervals; the point at ``until`` ends the last interval, and is in the response whether ``until`` is part of
    the range or not. ``"start"``: at ``from`` plus 0, 1, 2 … intervals, and at ``until`` only if it is part of the
    range. ``"between"``: as ``"end"``, but at ``until`` only if it is part of the range; otherwise no response has the
    point at its own end."""
    order: Order = _switch(
        Order,
        "sorted",
        "Whether rows are in order of time.",
        "All published samples are sorted by time; no order is promised.",
    )
    """Whether rows are in order of time."""
    throttling: Throttling = _switch(
        Throttling,
        429,
        "Status of a request beyond the rate limits.",
        "Users report both: one client waits at 429; a loader of history had 403 and was complete after waiting.",
    )
    """Status of a request beyond the rate limits."""
    retry_after: RetryAfter = _switch(
        RetryAfter,
        "absent",
        "Whether a throttled response has a header with the time to wait.",
        "No user reports the header, and none reports that it is missing.",
    )
    """Whether a throttled response has the header ``Retry-After``: never, in seconds, or as a date."""
    sustained: int = _number(
        600,
        "Maximum number of requests in any ten minutes, 403 beyond it; 0 for no maximum.",
        "A sequential loader at 1.25 requests a second, far below both limits, had 403 after about half an hour.",
    )
    """Maximum number of requests in any ten minutes, with 403 beyond it; 0 for no maximum."""
    refusals: Refusals = _switch(
        Refusals,
        "problem",
        "Body of 401, 403, 404 and 429.",
        "Only the body of a 400 is known; it is problem details, which is assumed for the others. A gateway in front "
        "of the API would send a body of its own.",
    )
    """Body of 401, 403, 404 and 429: problem details, ``{"message": …}``, plain text, or a gateway's page."""
    empty_candles: Empty = _switch(
        Empty,
        "null",
        "Prices of a candle without trades.",
        "Not documented; the model of a public client, which accepts numbers only, is reported to read them.",
    )
    """Prices of a candle without trades: null, 0, or absent. Its volume is 0, or absent too."""
    trading_dates: Dates = _switch(
        Dates,
        "absent",
        "Missing dates of trading of an item.",
        "Rolling sequences and emissions have no dates of trading (guide p. 29); no sample shows such an item.",
    )
    """Missing dates of trading of an item: absent, or null."""
    instrument_ids: Ids = _switch(
        Ids,
        "documented",
        "`instrumentId` in responses about a market.",
        "Null in the guide's sample of a market's snapshot (p. 25), filled in its sample of private trades (p. 23).",
    )
    """``instrumentId`` in responses about a market: null in snapshots and filled elsewhere, as in the samples, always
    filled, or always null."""
    late: int = _number(
        36,
        "Hours after midnight UTC at which the previous day becomes available; its rows are missing until then.",
        "The guide has data up to 00:00 UTC of today (p. 32); one public client advises to wait for two days.",
    )
    """Hours after midnight UTC at which the previous day becomes available. Until then its rows are missing, without an
    error."""

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Switches:
        """Return switches in the given positions; raise ValueError for an unknown name or position."""
        names = [field.name for field in attrs.fields(cls)]
        unknown = [name for name in given if name not in names]
        if unknown:
            raise ValueError(f"there is no switch {unknown[0]!r}; choose from {', '.join(names)}")
        return cls(**given)


OTHERS: tuple[Mapping[str, Any], ...] = tuple(
    {
        field.name: field.metadata["others"][min(turn, len(field.metadata["others"]) - 1)]
        for field in attrs.fields(Switches)
    }
    for turn in range(3)
)
"""Settings with every switch in another position than its default, until each position occurs."""
