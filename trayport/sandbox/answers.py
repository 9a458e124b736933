"""The sandbox's answers as bytes: what the rules let through, filled from the model and the catalogue."""

from __future__ import annotations

import datetime
import json
from functools import lru_cache
from typing import Any, Literal, TypeAlias

import numpy as np
from attrs import frozen

from . import calendar, catalogue, dice, rules
from .catalogue import Item, Product
from .dice import Integers
from .model import Market, Trades
from .rules import Ask, Parameters, not_found

NS_PER_DAY = calendar.DAY_MS * 1_000_000

Until: TypeAlias = Literal["exclusive", "inclusive"]
Order: TypeAlias = Literal["sorted", "shuffled"]

_WIRE_KINDS = {"single": "SinglePeriod", "spread": "PeriodSpread", "range": "PeriodRange"}
# Of so many trades, one is the key owner's own; one in three is on the second route, too.
_OWN = 50
# guide p. 34: venues where one's own trades come by a feed of their own, and so twice
_SEPARATE_FEED = frozenset("EEX7 EEX NDAQ ICE GMEP GMEG IDEX IENX MIBG NODX EPEX".split())
_SECOND_ROUTE = 3


@frozen
class _Rows:
    """Rows of an answer, each with its time."""

    times: Integers
    texts: list[str]


_NO_ROWS = _Rows(np.zeros(0, dtype=np.int64), [])


@frozen
class Answers:
    """Answers for one seed, with the switches in one position."""

    market: Market
    until: Until = "exclusive"
    order: Order = "sorted"
    intraday: bool = False

    # --- trades --------------------------------------------------------------------------------------------------

    def trades(self, parameters: Parameters, now: datetime.datetime) -> bytes:
        """``/trades``."""
        ask = rules.trades(parameters, now, intraday=self.intraday)
        end = min(ask.until + (self.until == "inclusive"), int(now.timestamp()) * rules.NS)
        contracts = [(item,) for item in ask.items] if ask.kind == "single" else [ask.items]
        parts = [self._rows(ask, member, items, end) for member in _members(ask.product) for items in contracts]
        times = np.concatenate([np.zeros(0, dtype=np.int64), *(part.times for part in parts)])
        texts = [text for part in parts for text in part.texts]
        rows = [texts[row] for row in np.argsort(times, kind="stable").tolist()]
        if self.order == "shuffled":
            rows.sort(key=dice.key)
        return b"[" + ",".join(rows).encode() + b"]"

    def _rows(self, ask: Ask, member: Product, items: tuple[Item, ...], end: int) -> _Rows:
        """One instrument's trades of one contract, as times and JSON objects."""
        if len(items) < (1 if ask.kind == "single" else 2):
            return _NO_ROWS
        first, last = ask.start // NS_PER_DAY, -(-end // NS_PER_DAY)
        days = self.market.trades(member, ask.sequence, items, ask.kind, first, max(first, last))
        trades = days.between(ask.start, end)
        if not len(trades):
            return _NO_ROWS
        rows = _heads(ask, trades, f"{_contract(ask, member, items)}" if "contract" in ask.fields else "")
        return _Rows(trades.time[[row for row, _ in rows]], [text for _, text in rows])

    # --- reference data ------------------------------------------------------------------------------------------

    def products(self, kind: str) -> bytes:
        """``/instruments`` and ``/markets``."""
        return _product_list(kind)

    def product(self, kind: str, number: int) -> bytes:
        """``/instruments/{id}`` and ``/markets/{id}``."""
        product = _product(kind, number)
        detail = {**_entry(product), "tradingSpecifications": catalogue.specification(product)}
        return _json(detail)

    def sequences(self, kind: str, number: int) -> bytes:
        """``/instruments/{id}/sequences`` and ``/markets/{id}/sequences``."""
        found = catalogue.sequences_of(_product(kind, number))
        return _json([{"id": s.id, "name": s.name, "sequenceItems": f"/sequences/{s.id}/sequenceItems"} for s in found])

    def sequence_items(self, number: int, parameters: Parameters, now: datetime.datetime) -> bytes:
        """``/sequences/{id}/sequenceItems``: from the period that ends after startDate."""
        ask = rules.sequence_items(parameters, now.date())
        late = [item for item in _listed(number, now.date()) if item.end is not None and item.end > ask.since]
        tenor = catalogue.SEQUENCES[number].tenor
        return _json([_item(item, tenor) for item in late[: ask.count]])

    def sequence_item(self, number: int, item_id: int, now: datetime.datetime) -> bytes:
        """``/sequences/{id}/sequenceItems/{itemId}``."""
        for item in _listed(number, now.date()):
            if item.id == item_id:
                return _json(_item(item, catalogue.SEQUENCES[number].tenor))
        raise not_found(f"item {item_id} of sequence {number}")


# --- trades as text ----------------------------------------------------------------------------------------------


def _members(product: Product) -> tuple[Product, ...]:
    return catalogue.members(product.id) if product.kind == "market" else (product,)


def _heads(ask: Ask, trades: Trades, contract: str) -> list[tuple[int, str]]:
    """Each trade's number and object, once for every copy of it that the question shows."""
    tails = [flags + contract for flags in _flags(ask, trades)]
    if ask.routes or "route" in ask.fields or "routeId" in ask.fields:
        shown = [(row, tails[row] + text) for row, texts in enumerate(_routes(ask, trades)) for text in texts]
    else:
        shown = list(enumerate(tails))
    public = _columns(trades, trades.id)
    if not ask.include_private:
        return [(row, f"{{{public[row]}{tail}}}") for row, tail in shown]
    # One's own trades come with what is known of their parties; twice where the venue has a feed of its own for them.
    private = _columns(trades, tuple(trade_id.removesuffix(" Public") for trade_id in trades.id))
    own = dice.below(dice.reroll(trades.chance, 21), _OWN) == 0
    rows: list[tuple[int, str]] = []
    for row, tail in shown:
        if own[row]:
            rows.append((row, f"{{{private[row]}{tail}{_parties(trades, row)}}}"))
        if not own[row] or trades.venue[row] in _SEPARATE_FEED:
            rows.append((row, f"{{{public[row]}{tail}}}"))
    return rows


def _routes(ask: Ask, trades: Trades) -> list[list[str]]:
    """Of each trade, the columns of every route that it is shown on.

    A route's name comes by itself when routes were asked for (guide p. 31).
    """
    second = dice.below(dice.reroll(trades.chance, 22), _SECOND_ROUTE) == 0
    wanted = ask.routes or rules.ROUTES[:1]
    with_name, with_id = bool(ask.routes) or "route" in ask.fields, "routeId" in ask.fields
    texts = {
        route: (f',"route":"{route[1]}"' if with_name else "") + (f',"routeId":{route[0]}' if with_id else "")
        for route in rules.ROUTES
    }
    seen = {
        both: [texts[route] for route in wanted if route in (rules.ROUTES if both else rules.ROUTES[:1])]
        for both in (True, False)
    }
    if ask.deduplicate:
        seen = {both: found[:1] for both, found in seen.items()}
    return [seen[both] for both in second.tolist()]


def _columns(trades: Trades, ids: tuple[str, ...]) -> list[str]:
    """The columns that are always there."""
    buys = (trades.chance & np.uint64(1)).tolist()
    return [
        f'"tradeId":"{trade_id}","venueCode":"{venue}","dealDate":{time},"price":{_decimal(price)},'
        f'"quantity":{_decimal(quantity)},"aggressorBuy":{"true" if buy else "false"}'
        for trade_id, venue, time, price, quantity, buy in zip(
            ids,
            trades.venue,
            trades.time.tolist(),
            trades.price.tolist(),
            trades.quantity.tolist(),
            buys,
            strict=True,
        )
    ]


@lru_cache(maxsize=65_536)
def _decimal(thousandths: int) -> str:
    """A number of thousandths in decimals, without a float on the way."""
    whole, rest = divmod(abs(thousandths), 1000)
    text = f"{whole}.{rest:03d}".rstrip("0").rstrip(".")
    return f"-{text}" if thousandths < 0 else text


# Each flag with its bits, and how many trades there are to one that has it; sleeves are never set on public trades
# (guide p. 13).
_FLAGS = {"fromBrokenSpread": (31, 80), "initiatorOwnedSpread": (32, 40), "aggressorOwnedSpread": (33, 40)}


def _flags(ask: Ask, trades: Trades) -> list[str]:
    texts = [""] * len(trades)
    for name in ask.fields:
        if name in _FLAGS:
            salt, rarity = _FLAGS[name]
            hits = dice.below(dice.reroll(trades.chance, salt), rarity) == 0
        elif name.endswith("Sleeve"):
            hits = np.zeros(len(trades), dtype=bool)
        else:
            continue
        words = ("false", "true")
        texts = [f'{text},"{name}":{words[hit]}' for text, hit in zip(texts, hits.tolist(), strict=True)]
    return texts


def _parties(trades: Trades, row: int) -> str:
    """Who dealt, as far as the owner may know: its own side."""
    sides = ("aggressor", "initiator")
    own = int(trades.chance[row] >> np.uint64(1)) & 1
    fields: dict[str, Any] = {}
    for number, side in enumerate(sides):
        ours = number == own
        fields[f"{side}CompanyId"] = 123 if ours else 0
        fields[f"{side}TraderCompanyName"] = "Sandbox Energy Ltd" if ours else ""
        fields[f"{side}TraderId"] = 4321 if ours else 0
        fields[f"{side}TraderName"] = "Sam Box" if ours else ""
        fields[f"{side}DerivativeIndicator"] = ours
    fields["productClassification"] = "RmMifid"
    return f',"privateFields":{json.dumps(fields, separators=(",", ":"))}'


def _contract(ask: Ask, member: Product, items: tuple[Item, ...]) -> str:
    """The contract of each row; a market's trades name the instrument that they are of."""
    said = {
        "contractType": _WIRE_KINDS[ask.kind],
        "marketId": ask.product.id if ask.product.kind == "market" else catalogue.market_of(member),
        "instrumentId": member.id,
        "sequenceId": ask.sequence.id,
        "sequenceItemId": items[0].id,
        "secondSequenceItemId": items[1].id if len(items) > 1 else None,
    }
    return f',"contract":{json.dumps(said, separators=(",", ":"))}'


# --- reference data as text --------------------------------------------------------------------------------------


@lru_cache(maxsize=2)
def _product_list(kind: str) -> bytes:
    return _json([_entry(product) for product in catalogue.products().values() if product.kind == kind])


def _entry(product: Product) -> dict[str, Any]:
    return {"id": product.id, "name": product.name, "sequences": f"/{product.kind}s/{product.id}/sequences"}


def _product(kind: str, number: int) -> Product:
    product = catalogue.products().get((kind, number))
    if product is None:
        raise not_found(f"{kind} {number}")
    return product


def _listed(number: int, today: datetime.date) -> tuple[Item, ...]:
    if number not in catalogue.SEQUENCES:
        raise not_found(f"sequence {number}")
    return catalogue.items(number, today)


def _item(item: Item, tenor: str) -> dict[str, Any]:
    """An item with its dates; those of trading are absent where it rolls, and for emissions (guide p. 29)."""
    said: dict[str, Any] = {"id": item.id, "name": item.name}
    traded = tenor not in ("prompt", "expiry")
    dates = {
        "periodStart": item.start,
        "periodEnd": item.end,
        "tradingStart": item.first if traded else None,
        "tradingEnd": item.last if traded else None,
    }
    return said | {name: f"{date}T00:00:00Z" for name, date in dates.items() if date is not None}


def _json(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
