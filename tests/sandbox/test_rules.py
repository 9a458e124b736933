"""Two transcriptions of one guide, the client's and the sandbox's, which know nothing of each other."""

from __future__ import annotations

import pandas as pd
import pytest
from support.api import DOCUMENT, fields

from trayport import endpoints
from trayport.endpoints import Endpoint
from trayport.sandbox.parameters import NS
from trayport.sandbox.paths import PATHS, Path

CLIENTS = {
    each.path: each for each in vars(endpoints).values() if isinstance(each, Endpoint) and each.api == "analytics"
}
# What the client calls the parameters of the wire; the others have the same name.
WIRE = {
    "include_private": "includePrivate",
    "deduplicate": "deduplicateRoutes",
    "include_empty": "includeEmptyBuckets",
    "max_spread": "maxSpread",
}
CONTRACT = {"instrumentId", "marketId", "sequenceId", "sequenceItemId", "secondSequenceItemId", "contractType"}
by_path = pytest.mark.parametrize("path", PATHS)


def parameters(path: str) -> set[str]:
    """What the API's document says that a path takes."""
    found = set()
    for parameter in DOCUMENT["paths"][path]["get"]["parameters"]:
        if "$ref" in parameter:
            parameter = DOCUMENT["components"]["parameters"][parameter["$ref"].rpartition("/")[2]]
        found.add(parameter["name"])
    return found


def duration(days: int | None) -> pd.Timedelta | None:
    return None if days is None else pd.Timedelta(days=days)


def test_both_know_the_same_paths() -> None:
    assert set(PATHS) == set(CLIENTS)


@by_path
def test_the_parameters_and_fields_are_those_of_the_document(path: str) -> None:
    assert parameters(path) - {"optionalFields"} == set(PATHS[path].parameters)
    if "optionalFields" in parameters(path):
        assert fields(path) == sorted(PATHS[path].fields, key=fields(path).index)


@by_path
def test_the_client_sends_nothing_that_the_sandbox_does_not_know(path: str) -> None:
    client, rules = CLIENTS[path], PATHS[path]
    options = {WIRE.get(option, option) for option in client.options} - {"verify"}
    asked = {column.asked_as for column in client.of("optional")} | set(client.always_asked)

    assert options <= set(rules.parameters)
    assert set(rules.parameters) - options <= CONTRACT | {"from", "until", "intervalUnit", "tradingItems"}
    assert asked == set(rules.fields) - ({"contract"} - asked)


@by_path
def test_the_limits_are_the_same(path: str) -> None:
    client, rules = CLIENTS[path], PATHS[path]

    assert (duration(rules.days), duration(rules.long_days)) == (client.span, client.coarse_span)
    assert rules.items == client.batch
    assert (rules.since and pd.Timestamp(rules.since, tz="UTC")) == client.since
    # The client asks for one point less, so that a full answer is never a cut one.
    assert rules.points == (client.points and client.points + 1)
    # Of the last trade the guide says seconds (p. 18), the vendor's notebook whole minutes, as the client does.
    grain = client.grain if path != "/trades/last" else pd.Timedelta(seconds=1)
    assert rules.resolution == grain // pd.Timedelta(nanoseconds=1)


def test_a_path_knows_its_parameters_in_any_case() -> None:
    assert {"from", "until", "optionalfields"} == Path(("from", "until"), ("route",)).names
    assert {"at"} == Path(("at",), resolution=NS).names
