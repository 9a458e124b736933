"""Answers of ``/trades/activity``: what traded at all, and how often."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from attrs import Factory, define

from . import lifecycle, model, rules, universe
from .calendar import NS_PER_DAY
from .hashing import Integers
from .insertions import Inserted
from .keys import Route
from .model import Day, SimulatedContract
from .parameters import Parameters
from .payload import Payload, PayloadColumn, nested
from .tape import contract, on_route, route_columns
from .view import View


@define
class _Tally:
    """How many trades of a contract were inserted on a route, changed later, and deleted later."""

    contract: SimulatedContract
    route: Route
    counts: list[int] = Factory(lambda: [0, 0, 0])


def activity(parameters: Parameters, view: View) -> Payload:
    """``/trades/activity``: a row for each contract and route, the busiest first."""
    ask = rules.activity(parameters, view.caller)
    end = view.end(ask.until)
    tallies: dict[Any, _Tally] = {}
    for number in range(ask.start // NS_PER_DAY, -(-end // NS_PER_DAY)):
        day = view.market.day(number)
        for route in ask.shown.wanted:
            for place, counts in _counted(day, route, ask.start, end, view):
                product, delivery = found = day.contracts[place]
                key = (product.id, delivery.sequence.id, delivery.kind, delivery.ids, route)
                tally = tallies.setdefault(key, _Tally(found, route))
                for number_of, count in enumerate(counts):
                    tally.counts[number_of] += count
    rows = [tallies[key] for key in sorted(tallies, key=lambda key: (-tallies[key].counts[0], key))]
    return Payload.of(_columns(rows, ask))


def _counted(day: Day, route: Route, start: int, end: int, view: View) -> Iterator[tuple[int, list[int]]]:
    """The contracts of a day that saw trades on a route, by their place, with what there is to count of each."""
    now = view.caller.now
    seen = np.array([view.caller.rights.sees(contract.product) for contract in day.contracts] or [False])
    inserted = day.inserted
    rows = (inserted.time >= start) & (inserted.time < end)
    rows &= on_route(route, lifecycle.is_on_second_route(inserted.chance)) & seen[inserted.place]
    found = inserted.take(rows)
    deleted = found.time + lifecycle.delay(found.chance, lifecycle.DELETION) <= now
    # What is left of a broken spread is inserted when it is broken.
    found = found.take(((found.leg == 0) | deleted) & view.revisions.inserted(found))
    counts = _sums(found, day, view)
    places = np.flatnonzero(counts[:, 0])
    return zip(places.tolist(), counts[places].tolist(), strict=True)


def _sums(rows: Inserted, day: Day, view: View) -> Integers:
    """Insertions, changes and deletions of each contract, as far as they have come about."""
    chance, outright = rows.chance, rows.leg == 0
    # Nothing happens any more to what somebody has deleted.
    end = np.minimum(view.caller.now, view.revisions.ended(rows) - 1)
    broken = model.are_spreads(day.contracts)[rows.place] & lifecycle.is_broken(chance)
    deleted = (
        (lifecycle.is_deleted(chance) | broken)
        & outright
        & (rows.time + lifecycle.delay(chance, lifecycle.DELETION) <= end)
    )
    updated = (
        lifecycle.is_amended(chance) & outright & (rows.time + lifecycle.delay(chance, lifecycle.AMENDMENT) <= end)
    )
    amended, removed = view.revisions.counts(rows)
    counted = (np.ones_like(amended), updated + amended, deleted + removed)
    sums = [np.bincount(rows.place, weights=each, minlength=len(day.contracts)) for each in counted]
    return np.stack(sums, axis=1).astype(np.int64)


def _columns(rows: list[_Tally], ask: rules.ActivityRequest) -> list[PayloadColumn]:
    said = [contract(row.contract.product.id, row.contract.delivery, None) for row in rows]
    fields = ask.shown.fields

    def column(name: str) -> PayloadColumn:
        return PayloadColumn(name, [nested(each[name]) for each in said])

    columns = [column("instrumentId")]
    if "marketId" in fields:
        columns.append(PayloadColumn("marketId", [nested(universe.market_of(row.contract.product)) for row in rows]))
    columns += [column("sequenceId"), column("sequenceItemId"), column("secondSequenceItemId")]
    columns.append(PayloadColumn("contractType", [each["contractType"] for each in said], "text"))
    for place, name in enumerate(("count", "updateCount", "deleteCount")):
        if place == 0 or name in fields:
            columns.append(PayloadColumn(name, [str(row.counts[place]) for row in rows]))
    return columns + route_columns(np.array([row.route[0] for row in rows], dtype=np.int64), ask.shown)
