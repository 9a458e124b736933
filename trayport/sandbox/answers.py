"""The sandbox's answers as bytes: what the rules let through, filled from the model and the catalogue."""

from __future__ import annotations

import datetime
import json
from functools import lru_cache
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from attrs import frozen

from ..venues import VENUES
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
_SECOND_ROUTE = 3


@frozen
class _Rows:
    """Rows of an answer, each with its time."""

    times: Integers
    texts: list[str]


_NO_ROWS = _Rows(np.zeros(0, dtype=np.int64), [])


@frozen
class Answers:
    """Answers for one seed, at one moment, with the switches in one position."""

    market: Market
    until: Until = "exclusive"
    order: Order = "sorted"

    # --- trades --------------------------------------------------------------------------------------------------

    def trades(self, parameters: Parameters, now: datetime.datetime) -> bytes:
        """``/trades``."""
        ask = rules.trades(parameters, now.date())
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
        trades = self.market.trades(member, items, ask.kind, first, max(first, last)).between(ask.start, end)
        if not len(trades):
            return _NO_ROWS
        tails = _flags(ask, trades)
        if "contract" in ask.fields:
            contract = _contract(ask, member, items)
            tails = [tail + contract for tail in tails]
        if ask.routes or "route" in ask.fields or "routeId" in ask.fields:
            routes = _routes(ask, trades)
            shown = [(row, tails[row] + text) for row, texts in enumerate(routes) for text in texts]
        else:
            shown = list(enumerate(tails))
        if ask.include_private:
            own = dice.below(dice.reroll(trades.chance, 21), _OWN) == 0
            return _with_own(trades, shown, own)
        heads = _heads(trades, trades.id)
        numbers = [row for row, _ in shown]
        return _Rows(trades.time[numbers], [f"{{{heads[row]}{tail}}}" for row, tail in shown])

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
        """``/sequences/{id}/sequenceItems``: from the period that ends on startDate or later."""
        ask = rules.sequence_items(parameters, now.date())
        listed = _listed(number, now.date())
        late = (item for item in listed if item.end is not None and item.end > ask.since)
        return _json([_item(item) for item, _ in zip(late, range(ask.count), strict=False)])

    def sequence_item(self, number: int, item_id: int, now: datetime.datetime) -> bytes:
        """``/sequences/{id}/sequenceItems/{itemId}``."""
        for item in _listed(number, now.date()):
            if item.id == item_id:
                return _json(_item(item))
        raise not_found(f"item {item_id} of sequence {number}")


# --- trades as text ----------------------------------------------------------------------------------------------


def _members(product: Product) -> tuple[Product, ...]:
    return catalogue.members(product.id) if product.kind == "market" else (product,)


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


def _with_own(trades: Trades, shown: list[tuple[int, str]], own: npt.NDArray[np.bool_]) -> _Rows:
    """Own trades with what is known of their parties; twice where the owner has a feed of its own."""
    heads = _heads(trades, trades.id)
    own_heads = _heads(trades, tuple(trade_id.removesuffix(" Public") for trade_id in trades.id))
    numbers, texts = [], []
    for row, tail in shown:
        if own[row]:
            numbers.append(row)
            texts.append(f"{{{own_heads[row]}{tail}{_parties(trades, row)}}}")
        if not own[row] or VENUES[trades.venue[row]].separate_private_feed:
            numbers.append(row)
            texts.append(f"{{{heads[row]}{tail}}}")
    return _Rows(trades.time[numbers], texts)


def _heads(trades: Trades, ids: tuple[str, ...]) -> list[str]:
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


# Each flag with how many trades there are to one that has it; sleeves are never set on public trades (guide p. 13).
_FLAGS = {"fromBrokenSpread": 80, "initiatorOwnedSpread": 40, "aggressorOwnedSpread": 40}


def _flags(ask: Ask, trades: Trades) -> list[str]:
    texts = [""] * len(trades)
    for salt, name in enumerate(ask.fields):
        if name in _FLAGS:
            hits = dice.below(dice.reroll(trades.chance, 30 + len(name) + salt), _FLAGS[name]) == 0
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


def _item(item: Item) -> dict[str, Any]:
    """An item with its dates; those of trading are absent where it rolls, and for emissions (guide p. 29)."""
    said: dict[str, Any] = {"id": item.id, "name": item.name}
    rolls = item.first is None
    expiry = catalogue.item(catalogue.SEQUENCES[10000400], item.id) == item
    dates = {
        "periodStart": item.start,
        "periodEnd": item.end,
        "tradingStart": None if rolls or expiry else item.first,
        "tradingEnd": None if rolls or expiry else item.last,
    }
    return said | {name: f"{date}T00:00:00Z" for name, date in dates.items() if date is not None}


def _json(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
