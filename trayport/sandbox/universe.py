"""Products, sequences and items of the sandbox: the publicly known real products, and 14,000 invented ones.

Ids and names of real products and sequences come from public sources. Where ``id_known`` in the table is false, the id
is invented because none is public (for the instruments THE, PEG and Germany Peaks, the name too). Ids without a name
are left out, and so are "NBP ICE", which has two public ids, and sequences with unknown items. The
ids of items follow the published ones: 232 is Apr-23 in gas months, 80 to 124 are Q4-23 to Q4-34 in power quarters,
710 is the EUA of Dec-23.
"""

from __future__ import annotations

import csv
import datetime
import itertools
from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from importlib import resources
from typing import Literal, TypeAlias

from attrs import frozen

from .calendar import back
from .hashing import key

Tenor: TypeAlias = Literal["prompt", "day", "weekend", "week", "month", "quarter", "season", "year", "expiry"]

INVENTED = 14_000
"""Number of invented instruments, so that look-ups search a list of the real size."""


@frozen(cache_hash=True)
class Product:
    """An instrument or a market."""

    kind: Literal["instrument", "market"]
    id: int
    name: str
    family: str
    market: str
    venue: str
    share: int
    """Share of the family's trades in thousandths."""


@frozen(cache_hash=True)
class Item:
    """A delivery period of a sequence; ``first`` and ``last`` are its first and last day of trading."""

    id: int
    name: str
    start: datetime.date | None
    end: datetime.date | None
    first: datetime.date | None
    last: datetime.date | None


@frozen(cache_hash=True)
class Sequence:
    """A sequence of delivery periods."""

    id: int
    name: str
    tenor: Tenor
    group: Literal["gas", "power", "emissions"]


SEQUENCES: dict[int, Sequence] = {
    sequence.id: sequence
    for sequence in (
        Sequence(10000302, "Gas - NG Prompt", "prompt", "gas"),
        Sequence(10000305, "Gas - NG Months", "month", "gas"),
        Sequence(10000306, "Gas - NG Quarters", "quarter", "gas"),
        Sequence(10000307, "Gas - NG Sum/Win Seasons", "season", "gas"),
        Sequence(10000309, "Gas - NG Years", "year", "gas"),
        Sequence(10000100, "Euro - Euro Days", "day", "power"),
        Sequence(10000101, "Euro - Euro Weekends", "weekend", "power"),
        Sequence(10000102, "Euro - Euro Weeks", "week", "power"),
        Sequence(10000104, "Euro - Euro Months", "month", "power"),
        Sequence(10000105, "Euro - Euro Quarters", "quarter", "power"),
        Sequence(10000106, "Euro - Euro Years", "year", "power"),
        Sequence(10000400, "Emissions - EUA", "expiry", "emissions"),
    )
}

GROUPS: dict[str, Literal["gas", "power", "emissions"]] = {
    **dict.fromkeys(("ttf", "the", "nbp", "peg", "gas"), "gas"),
    **dict.fromkeys(("de", "de_peak", "fr", "power", "spread"), "power"),
    "eua": "emissions",
}

PROMPT: dict[int, str] = {
    **dict(enumerate(("WD", "DA", "BOW", "W/END", "WDNW", "Saturday", "Sunday"), 1)),
    **dict(enumerate(("Monday", "Tuesday", "Wednesday", "Thursday", "Friday"), 19)),
    35: "BOM",
}


# --- products ----------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def products() -> dict[tuple[str, int], Product]:
    """Return all products by kind and id."""
    table = resources.files(__package__).joinpath("data/products.csv").read_text(encoding="utf-8")
    listed = [
        Product(
            "market" if row["kind"] == "market" else "instrument",
            int(row["id"]),
            row["name"],
            row["family"],
            row["market"],
            row["venue"],
            int(row["share"] or 0),
        )
        for row in csv.DictReader(table.splitlines())
    ]
    names = {product.name for product in listed}
    invented = itertools.islice((product for product in _invented() if product.name not in names), INVENTED)
    return {(product.kind, product.id): product for product in (*listed, *invented)}


@cache
def members(market: int) -> tuple[Product, ...]:
    """Return the instruments of a market."""
    name = products()["market", market].name
    return tuple(product for product in products().values() if product.market == name and product.kind == "instrument")


def market_of(instrument: Product) -> int | None:
    """Return the id of an instrument's market; None if it has none."""
    return _markets().get(instrument.market)


@cache
def _markets() -> dict[str, int]:
    return {product.name: product.id for product in products().values() if product.kind == "market"}


def sequences_of(product: Product) -> list[Sequence]:
    """Return the sequences of a product."""
    return [sequence for sequence in SEQUENCES.values() if sequence.group == GROUPS[product.family]]


_AREAS = (
    "Albania Austria Belgium Bosnia Bulgaria Croatia Czech Denmark-East Denmark-West Estonia Finland Greece Holland "
    "Ireland Kosovo Latvia Lithuania Macedonia Moldova Montenegro Nordic Norway Poland Portugal Romania Serbia "
    "Slovakia Slovenia Sweden Swiss Turkey Ukraine"
).split()
_HUBS = "CEGH ETF PSV PVB VTP ZTP".split()
_SHAPES = "Baseload Peaks Off-Peaks Overnight 0-6 6-8 8-12 12-16 16-20 20-24 Weekend-Base Weekend-Peaks".split()
_GAS_KINDS = ("Hi Cal", "Low Cal", "Physical", "Financial", "Location Swap", "Storage", "Exit", "Entry")
_SUFFIXES = (
    "", "Anon", "Block", "EEX", "EEX Anon", "EEX Block", "EEX OTF", "ICE", "ICE Anon", "ICE Block", "ICE ENDEX",
    "ICE ENDEX EFP", "NDAQ", "NDAQ DS", "PXE", "PXE FIN", "HUDEX", "OMIP", "OPCOM", "CME FIN", "CME PHYS", "Fin",
    "Phys", "1MW", "5MW", "10MW", "Cleared", "Bilateral", "OTF", "Index", "Daily", "Daily Fin", "Strip",
)  # fmt: skip


# One invented instrument in 20 is traded; most of the real ones are not traded either.
_TRADED = 20


def _invented() -> Iterator[Product]:
    """Yield invented instruments with names like the real ones."""
    power = (("power", f"{area} {shape}") for area in _AREAS for shape in _SHAPES)
    gas = (("gas", f"{hub} {quality}") for hub in _HUBS for quality in _GAS_KINDS)
    named = ((family, f"{name} {suffix}".strip()) for family, name in (*power, *gas) for suffix in _SUFFIXES)
    for number, (family, name) in enumerate(named):
        venue = next((code for code in ("EEX", "ICE", "NDAQ") if code in name), "OTC")
        bits = key(name)
        share = 1 + bits % 9 if bits // 9 % _TRADED == 0 else 0
        yield Product("instrument", 10_700_000 + number, name, family, "", venue, share)


def specification(product: Product) -> dict[str, str]:
    """Return currencies and units; those of TTF are documented, the others are usual in the market."""
    price, quantity, notional, energy = _UNITS.get(product.family, ("EUR", "MW", "EUR", "MWh"))
    return {
        "priceCurrency": price,
        "quantityUnit": quantity,
        "notionalCurrency": notional,
        "notionalQuantityUnit": energy,
    }


_UNITS = {
    "nbp": ("GBX", "kTherm/d", "GBP", "Therm"),
    "peg": ("EUR", "MWh/d", "EUR", "MWh"),
    "eua": ("EUR", "kt", "EUR", "t"),
}


# Larger than any id.
_NO_ITEM = 100_000
_LAST_YEAR = 2100


# --- items -------------------------------------------------------------------------------------------------------


def item(sequence: Sequence, item_id: int) -> Item | None:
    """Return the item with an id, listed or not yet; None if the sequence has no such id."""
    if sequence.tenor == "prompt":
        return Item(item_id, PROMPT[item_id], None, None, None, None) if item_id in PROMPT else None
    if item_id < 1 or (sequence.tenor == "expiry" and (item_id - 710) % 40):
        return None
    try:
        start = _STARTS[sequence.tenor](item_id)
    except (ValueError, OverflowError):  # beyond the largest date of Python
        return None
    if start.year >= _LAST_YEAR:
        return None
    end = _ENDS[sequence.tenor](start)
    first, last = _TRADING[sequence.tenor](start)
    return Item(item_id, _NAMES[sequence.tenor](start), start, end, first, last)


@lru_cache(maxsize=64)
def items(sequence_id: int, today: datetime.date) -> tuple[Item, ...]:
    """Return the items that are listed on a day, expired ones included, in order of delivery."""
    sequence = SEQUENCES[sequence_id]
    if sequence.tenor == "prompt":
        rolling = [_rolling(number, name, today) for number, name in PROMPT.items()]
        return tuple(sorted(rolling, key=lambda item: (item.start or today, item.end or today)))
    return tuple(_listed(sequence, today))


def _listed(sequence: Sequence, today: datetime.date) -> Iterator[Item]:
    for item_id in numbering(sequence):
        found = item(sequence, item_id)
        if found is None or found.first is None or found.first > today:
            return
        yield found


def example_contract(today: datetime.date) -> tuple[dict[str, int | str], str]:
    """Return a liquid contract, for examples: its parameters and its name, such as "TTF Apr-24".

    It is the first month of gas at TTF that begins more than 31 days after ``today``.
    """
    sequence = SEQUENCES[10000305]
    start = today + datetime.timedelta(days=31)
    month = next(item for item in items(sequence.id, today) if item.start and item.start > start)
    market = {"marketId": 10000065, "sequenceId": sequence.id, "sequenceItemId": month.id}
    return {**market, "contractType": "SinglePeriod"}, f"TTF {month.name}"


def numbering(sequence: Sequence) -> range:
    """Return the possible ids of a sequence's items, from the first listed one on."""
    return range(110, _NO_ITEM, 40) if sequence.tenor == "expiry" else range(1, _NO_ITEM)


def _rolling(number: int, name: str, today: datetime.date) -> Item:
    """Return a rolling item with the delivery period that it has today."""
    start, end = delivery(name, today)
    return Item(number, name, start, end, None, None)


def delivery(name: str, day: datetime.date) -> tuple[datetime.date, datetime.date]:
    """Return the delivery period of a rolling item that is traded on ``day``: first day, and day after the last."""
    one = datetime.timedelta(days=1)
    saturday = day + one * ((5 - day.weekday()) % 7 or 7)
    month_end = _month(day.year * 12 + day.month)
    spans = {
        "WD": (day, day + one),
        "DA": (day + one, day + 2 * one),
        "BOW": (min(day + 2 * one, saturday - one), saturday),
        "W/END": (saturday, saturday + 2 * one),
        "WDNW": (saturday + 2 * one, saturday + 7 * one),
        "BOM": (min(day + 2 * one, month_end - one), month_end),
    }
    if name in spans:
        return spans[name]
    weekday = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday").index(name)
    start = day + one * ((weekday - day.weekday()) % 7 or 7)
    return start, start + one


def _month(count: int) -> datetime.date:
    """Return the first day of a month, given as the number of months since the year 0."""
    return datetime.date(count // 12, count % 12 + 1, 1)


def _add_months(months: int) -> Callable[[datetime.date], datetime.date]:
    return lambda start: _month(start.year * 12 + start.month - 1 + months)


def _add_days(days: int) -> Callable[[datetime.date], datetime.date]:
    return lambda start: start + datetime.timedelta(days=days)


# From published ids: the first month, quarter, season and year begin in 2004; days and weeks from January 2022.
_STARTS: dict[str, Callable[[int], datetime.date]] = {
    "day": lambda item: datetime.date(2022, 1, 1) + datetime.timedelta(days=item - 7010),
    "weekend": lambda item: datetime.date(2022, 1, 8) + datetime.timedelta(days=7 * (item - 1045)),
    "week": lambda item: datetime.date(2022, 1, 3) + datetime.timedelta(days=7 * (item - 1045)),
    "month": lambda item: _month(2004 * 12 + item - 1),
    "quarter": lambda item: _month(2004 * 12 + 3 * (item - 1)),
    "season": lambda item: _month(2004 * 12 + 3 + 6 * (item - 1)),
    "year": lambda item: datetime.date(2003 + item, 1, 1),
    "expiry": lambda item: datetime.date(2023 + (item - 710) // 40, 12, 1),
}
_ENDS: dict[str, Callable[[datetime.date], datetime.date]] = {
    "day": _add_days(1),
    "weekend": _add_days(2),
    "week": _add_days(7),
    "month": _add_months(1),
    "quarter": _add_months(3),
    "season": _add_months(6),
    "year": _add_months(12),
    "expiry": _add_months(1),
}
_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


def _month_name(start: datetime.date) -> str:
    return f"{_MONTHS[start.month - 1]}-{start.year % 100:02d}"


def _week_name(start: datetime.date) -> str:
    year, week, _ = start.isocalendar()
    return f"Week {week:02d}-{year % 100:02d}"


# Spelled as in public sources: Apr-23, Q423, Win 25, Thu 18/03/21; years, weeks and weekends by analogy.
_NAMES: dict[str, Callable[[datetime.date], str]] = {
    "day": lambda start: f"{'Mon Tue Wed Thu Fri Sat Sun'.split()[start.weekday()]} {start:%d/%m/%y}",
    "weekend": lambda start: f"W/END {start.day:02d}-{_month_name(start)}",
    "week": _week_name,
    "month": _month_name,
    "quarter": lambda start: f"Q{(start.month + 2) // 3}{start.year % 100:02d}",
    "season": lambda start: f"{'Sum' if start.month == 4 else 'Win'} {start.year % 100:02d}",
    "year": lambda start: f"Cal-{start.year % 100:02d}",
    "expiry": _month_name,
}


def _expires(start: datetime.date) -> datetime.date:
    return back(start, 2)


# First and last day of trading. Months are listed three years ahead and trade until two business days before delivery,
# quarters are listed eleven years ahead. Both give the numbers of tradable items in the guide.
_TRADING: dict[str, Callable[[datetime.date], tuple[datetime.date, datetime.date]]] = {
    "day": lambda start: (start - datetime.timedelta(days=14), back(start, 1)),
    "weekend": lambda start: (start - datetime.timedelta(days=28), back(start, 1)),
    "week": lambda start: (start - datetime.timedelta(days=35), back(start, 1)),
    "month": lambda start: (_add_months(-36)(start), _expires(start)),
    "quarter": lambda start: (datetime.date(start.year - 11, 1, 1), _expires(start)),
    "season": lambda start: (_add_months(-72)(start), _expires(start)),
    "year": lambda start: (datetime.date(start.year - 10, 1, 1), _expires(start)),
    "expiry": lambda start: (datetime.date(start.year - 6, 1, 1), back(datetime.date(start.year, 12, 17), 2)),
}
