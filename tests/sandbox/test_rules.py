"""The client's and the sandbox's transcriptions of the guide, which are independent, against each other.

Page numbers refer to the API guide, see docs/sources.md.
"""

from __future__ import annotations

import pandas as pd
import pytest
from support.api import DOCUMENT, optional_fields

from trayport import endpoints
from trayport.endpoints import Endpoint
from trayport.sandbox.parameters import NS
from trayport.sandbox.paths import PATHS, Path

CLIENTS = {
    each.path: each for each in vars(endpoints).values() if isinstance(each, Endpoint) and each.api == "analytics"
}
# Names of the client for parameters of the API; all others have the same name.
WIRE = {
    "include_private": "includePrivate",
    "deduplicate": "deduplicateRoutes",
    "include_empty": "includeEmptyBuckets",
    "max_spread": "maxSpread",
}
CONTRACT = {"instrumentId", "marketId", "sequenceId", "sequenceItemId", "secondSequenceItemId", "contractType"}
by_path = pytest.mark.parametrize("path", PATHS)


def parameters(path: str) -> set[str]:
    """Return the parameters of a path in the API's document."""
    found = set()
    for parameter in DOCUMENT["paths"][path]["get"]["parameters"]:
        if "$ref" in parameter:
            parameter = DOCUMENT["components"]["parameters"][parameter["$ref"].rpartition("/")[2]]
        found.add(parameter["name"])
    return found


def duration(days: int | None) -> pd.Timedelta | None:
    return None if days is None else pd.Timedelta(days=days)


def test_both_have_the_same_paths() -> None:
    assert set(PATHS) == set(CLIENTS)


@by_path
def test_parameters_and_fields_are_those_of_the_document(path: str) -> None:
    assert parameters(path) - {"optionalFields"} == set(PATHS[path].parameters)
    if "optionalFields" in parameters(path):
        assert optional_fields(path) == sorted(PATHS[path].fields, key=optional_fields(path).index)


@by_path
def test_sandbox_has_all_parameters_of_the_client(path: str) -> None:
    client, rules = CLIENTS[path], PATHS[path]
    options = {WIRE.get(option, option) for option in client.options} - {"verify"}
    asked = {column.field_name for column in client.columns_of("optional")} | set(client.default_fields)

    assert options <= set(rules.parameters)
    assert set(rules.parameters) - options <= CONTRACT | {"from", "until", "intervalUnit", "tradingItems"}
    assert asked == set(rules.fields) - ({"contract"} - asked)


@by_path
def test_both_have_the_same_limits(path: str) -> None:
    client, rules = CLIENTS[path], PATHS[path]

    assert (duration(rules.days), duration(rules.long_days)) == (client.span, client.coarse_span)
    assert rules.items == client.batch
    assert (rules.since and pd.Timestamp(rules.since, tz="UTC")) == client.since
    # The client requests one point less, so that a full response is never a truncated one.
    assert rules.points == (client.points and client.points + 1)
    # The last trade has a time in seconds in the guide (p. 18), in minutes in the vendor's notebook and the client.
    grain = client.grain if path != "/trades/last" else pd.Timedelta(seconds=1)
    assert rules.resolution == grain // pd.Timedelta(nanoseconds=1)


def test_names_of_parameters_are_in_lower_case() -> None:
    assert {"from", "until", "optionalfields"} == Path(("from", "until"), ("route",)).names
    assert {"at"} == Path(("at",), resolution=NS).names
