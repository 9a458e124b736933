"""Answers of ``/trades/activity``: what traded at all, and how often."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from attrs import Factory, define

from . import catalogue, model, rules
from .model import NS_PER_DAY, Contract, Day
from .parameters import Parameters
from .rules import Route
from .tape import contract, on_route, route_columns
from .view import View
from .wire import Column, Table, nested


@define
class _Tally:
    """How many trades of a contract were inserted on a route, changed later, and deleted later."""

    contract: Contract
    route: Route
    counts: list[int] = Factory(lambda: [0, 0, 0])


def activity(parameters: Parameters, view: View) -> Table:
    """``/trades/activity``: a row for each contract and route, the busiest first."""
    ask = rules.activity(parameters, view.clock)
    end = view.end(ask.until)
    tallies: dict[Any, _Tally] = {}
    for number in range(ask.start // NS_PER_DAY, -(-end // NS_PER_DAY)):
        day = view.market.day(number)
        for route in ask.shown.wanted:
            for cell, counts in _counted(day, route, ask.start, end):
                product, delivery = found = day.contracts[cell]
                key = (product.id, delivery.sequence.id, delivery.kind, delivery.ids, route)
                tally = tallies.setdefault(key, _Tally(found, route))
                tally.counts = [sum(pair) for pair in zip(tally.counts, counts, strict=True)]
    rows = [tallies[key] for key in sorted(tallies, key=lambda key: (-tallies[key].counts[0], key))]
    return Table(tuple(_columns(rows, ask)))


def _counted(day: Day, route: Route, start: int, end: int) -> Iterator[tuple[int, list[int]]]:
    """The contracts of a day that saw trades on a route, by their place, with what there is to count of each."""
    inserted = day.inserted
    rows = (inserted.time >= start) & (inserted.time < end)
    rows &= on_route(route, model.is_on_second_route(inserted.chance))
    cell, chance = inserted.cell[rows], inserted.chance[rows]
    chosen = (np.ones(len(cell), dtype=bool), model.is_updated(chance), model.is_deleted(chance))
    counts = np.stack([np.bincount(cell[some], minlength=len(day.contracts)) for some in chosen], axis=1)
    seen = np.flatnonzero(counts[:, 0])
    return zip(seen.tolist(), counts[seen].tolist(), strict=True)


def _columns(rows: list[_Tally], ask: rules.Activity) -> list[Column]:
    said = [contract(row.contract.product.id, row.contract.delivery, None) for row in rows]
    fields = ask.shown.fields

    def column(name: str) -> Column:
        return Column(name, [nested(each[name]) for each in said])

    columns = [column("instrumentId")]
    if "marketId" in fields:
        columns.append(Column("marketId", [nested(catalogue.market_of(row.contract.product)) for row in rows]))
    columns += [column("sequenceId"), column("sequenceItemId"), column("secondSequenceItemId")]
    columns.append(Column("contractType", [each["contractType"] for each in said], "text"))
    for place, name in enumerate(("count", "updateCount", "deleteCount")):
        if place == 0 or name in fields:
            columns.append(Column(name, [str(row.counts[place]) for row in rows]))
    return columns + route_columns([row.route for row in rows], ask.shown)
