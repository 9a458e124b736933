"""Response of ``/trades/activity``: number of trades of every contract that traded."""

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
from .tape import contract_object, is_on_route, route_columns
from .view import View


@define
class _Tally:
    """Number of insertions, amendments and deletions of a contract's trades on a route."""

    contract: SimulatedContract
    route: Route
    counts: list[int] = Factory(lambda: [0, 0, 0])


def activity(parameters: Parameters, view: View) -> Payload:
    """Return the rows of ``/trades/activity``: one for each contract and route, by falling number of trades."""
    request = rules.activity(parameters, view.caller)
    end = view.end(request.until)
    tallies: dict[Any, _Tally] = {}
    for number in range(request.start // NS_PER_DAY, -(-end // NS_PER_DAY)):
        day = view.market.day(number)
        for route in request.options.selected_routes:
            for place, counts in _count_day(day, route, request.start, end, view):
                product, delivery = found = day.contracts[place]
                key = (product.id, delivery.sequence.id, delivery.kind, delivery.ids, route)
                tally = tallies.setdefault(key, _Tally(found, route))
                for column, count in enumerate(counts):
                    tally.counts[column] += count
    rows = [tallies[key] for key in sorted(tallies, key=lambda key: (-tallies[key].counts[0], key))]
    return Payload.of(_columns(rows, request))


def _count_day(day: Day, route: Route, start: int, end: int, view: View) -> Iterator[tuple[int, list[int]]]:
    """Yield the index and the three counts of each contract that traded on a route within a day."""
    now = view.caller.now
    entitled = np.array([view.caller.rights.sees(contract.product) for contract in day.contracts] or [False])
    inserted = day.inserted
    rows = (inserted.time >= start) & (inserted.time < end)
    rows &= is_on_route(route, lifecycle.is_on_second_route(inserted.chance)) & entitled[inserted.place]
    found = inserted.take(rows)
    has_broken = found.time + lifecycle.delay(found.chance, lifecycle.DELETION) <= now
    # The legs of a broken spread are inserted at the time at which it is broken.
    found = found.take(((found.leg == 0) | has_broken) & view.revisions.inserted(found))
    counts = _counts_of(found, day, view)
    places = np.flatnonzero(counts[:, 0])
    return zip(places.tolist(), counts[places].tolist(), strict=True)


def _counts_of(rows: Inserted, day: Day, view: View) -> Integers:
    """Return an array with the insertions, amendments and deletions of each contract that have happened by now."""
    chance, outright = rows.chance, rows.leg == 0
    # A trade that a user has deleted has no later events.
    end = np.minimum(view.caller.now, view.revisions.deletion_times(rows) - 1)
    broken = model.are_spreads(day.contracts)[rows.place] & lifecycle.is_broken(chance)
    is_past = rows.time + lifecycle.delay(chance, lifecycle.DELETION) <= end
    deleted = (lifecycle.is_deleted(chance) | broken) & outright & is_past
    is_past = rows.time + lifecycle.delay(chance, lifecycle.AMENDMENT) <= end
    amended = lifecycle.is_amended(chance) & outright & is_past
    amended_by_user, deleted_by_user = view.revisions.counts(rows)
    columns = (np.ones_like(amended_by_user), amended + amended_by_user, deleted + deleted_by_user)
    sums = [np.bincount(rows.place, weights=column, minlength=len(day.contracts)) for column in columns]
    return np.stack(sums, axis=1).astype(np.int64)


def _columns(rows: list[_Tally], request: rules.ActivityRequest) -> list[PayloadColumn]:
    contracts = [contract_object(row.contract.product.id, row.contract.delivery, None) for row in rows]
    fields = request.options.fields

    def column(name: str) -> PayloadColumn:
        return PayloadColumn(name, [nested(contract[name]) for contract in contracts])

    columns = [column("instrumentId")]
    if "marketId" in fields:
        columns.append(PayloadColumn("marketId", [nested(universe.market_of(row.contract.product)) for row in rows]))
    columns += [column("sequenceId"), column("sequenceItemId"), column("secondSequenceItemId")]
    columns.append(PayloadColumn("contractType", [contract["contractType"] for contract in contracts], "text"))
    for place, name in enumerate(("count", "updateCount", "deleteCount")):
        if place == 0 or name in fields:
            columns.append(PayloadColumn(name, [str(row.counts[place]) for row in rows]))
    routes = np.array([row.route[0] for row in rows], dtype=np.int64)
    return columns + route_columns(routes, request.options)
