"""What nobody knows of the real service, one switch a question; each has a position that is the safest reading."""

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


def _switch(positions: Any, default: Any, what: str, evidence: str) -> Any:
    """One of a few positions."""
    allowed = get_args(positions)

    def check(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if value not in allowed:
            raise ValueError(f"{attribute.name}={value!r} is none of {', '.join(map(repr, allowed))}")

    other = tuple(position for position in allowed if position != default)
    return attrs.field(default=default, validator=check, metadata={"others": other, "what": what, "evidence": evidence})


# Hours of more than a year, and more requests than any test makes.
_MOST = 10_000


def _number(other: int, what: str, evidence: str) -> Any:
    """A whole number, 0 for none."""

    def check(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MOST:
            raise ValueError(f"{attribute.name}={value!r} must be a whole number from 0 to {_MOST}")

    return attrs.field(default=0, validator=check, metadata={"others": (other,), "what": what, "evidence": evidence})


@frozen(kw_only=True)
class Switches:
    """How the sandbox reads what the guide leaves open.

    ``docs/sandbox.md`` has them as a table, with the evidence that stands beside each field here.
    """

    until: Until = _switch(
        Until,
        "exclusive",
        "Is what happens at `until` part of the range?",
        "Not stated. Users cut long ranges at touching ends and drop what comes twice.",
    )
    """Is ``until`` part of the range? If it is ``"inclusive"``, a trade at ``until`` is there, the candle that begins
    there (whole), and the book's point."""
    books: Stamps = _switch(
        Stamps,
        "end",
        "Where in its interval does a book's point stand?",
        "Inferred from the guide's sample (p. 10), whose first point lies one interval after `from`.",
    )
    """How points of a book are stamped. ``"end"``: at the end of each interval of the range, so at ``from`` plus 1, 2,
    3 … intervals; the point at ``until`` ends the last interval, and is there whether ``until`` is part of the range
    or not. ``"start"``: at ``from`` plus 0, 1, 2 … intervals, and at ``until`` only if it is part of the range.
    ``"between"``: as ``"end"``, but at ``until`` only if it is part of the range; then no question shows the point at
    its own end."""
    order: Order = _switch(
        Order,
        "sorted",
        "Do rows come in the order of time?",
        "Every published sample is sorted by time; no order is promised.",
    )
    """Are rows in the order of time, or in any?"""
    throttling: Throttling = _switch(
        Throttling,
        429,
        "The status of a request beyond the limits.",
        "Users met both: a desk's client waits at 429, a loader of history met 403 and was complete after waiting.",
    )
    """The status of a request beyond the limits."""
    retry_after: RetryAfter = _switch(
        RetryAfter,
        "absent",
        "Does a throttled answer say when to come back?",
        "Nobody reports the header, and nobody says that it lacks.",
    )
    """Does a throttled answer say when to come back: not at all, in seconds, or as a date?"""
    sustained: int = _number(
        600,
        "So many requests in any ten minutes, and 403 beyond them; 0 for any number.",
        "A sequential loader at 1.25 requests a second, far below both limits, met 403 after about half an hour.",
    )
    """A second, slower limit: so many requests in any ten minutes, and 403 beyond them. 0 for none."""
    refusals: Refusals = _switch(
        Refusals,
        "problem",
        "The body of 401, 403, 404 and 429.",
        "Only the body of a 400 was seen; its fields fit problem details, of which the others are assumed to be, too. "
        "A gateway in front would answer in its own words.",
    )
    """The body of 401, 403, 404 and 429: problem details, ``{"message": …}``, plain text, or a gateway's page."""
    empty_candles: Empty = _switch(
        Empty,
        "null",
        "Prices of a candle without trades.",
        "Undocumented; a public client's model, which takes numbers only, is said to read them.",
    )
    """Prices of a candle without trades: null, 0, or not there at all. Its volume is 0, or not there either."""
    trading_dates: Dates = _switch(
        Dates,
        "absent",
        "Dates of trading that an item does not have.",
        "Rolling sequences and emissions have none (guide p. 29); how that is written is not shown.",
    )
    """Dates of trading that an item does not have: not there, or null."""
    instrument_ids: Ids = _switch(
        Ids,
        "documented",
        "`instrumentId` in what is answered about a market.",
        "Null in the guide's sample of a market's snapshot (p. 25), filled in that of private trades (p. 23).",
    )
    """``instrumentId`` in what is answered about a market: null in snapshots and filled elsewhere, as the samples have
    it; or always filled, or always null."""
    late: int = _number(
        36,
        "So many hours after midnight the day before is there; until then its rows are missing.",
        "The guide has data up to 00:00 UTC of today (p. 32); one public client advises to wait for two days.",
    )
    """So many hours after midnight the day before is there. Until then its rows are missing, without an error."""

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Switches:
        """Switches in the given positions; ``ValueError`` says which there are."""
        names = [field.name for field in attrs.fields(cls)]
        unknown = [name for name in given if name not in names]
        if unknown:
            raise ValueError(f"there is no switch {unknown[0]!r}; there are {', '.join(names)}")
        return cls(**given)


OTHERS: tuple[Mapping[str, Any], ...] = tuple(
    {
        field.name: field.metadata["others"][min(turn, len(field.metadata["others"]) - 1)]
        for field in attrs.fields(Switches)
    }
    for turn in range(3)
)
"""Every switch in another position than its default; as many such settings as the one with the most positions needs."""
