"""The venue table equals the published list."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from trayport.venues import VENUES, select

PUBLISHED = Path(__file__).parent / "data" / "venues.csv"


def test_table_equals_the_published_one() -> None:
    with PUBLISHED.open(encoding="utf-8", newline="") as file:
        published = [
            (row["code"], row["name"], int(row["id"]), row["active"] == "true") for row in csv.DictReader(file)
        ]

    assert published == [(venue.code, venue.name, venue.id, venue.active) for venue in VENUES.values()]


def test_eleven_venues_have_a_separate_private_feed() -> None:
    separate = {code for code, venue in VENUES.items() if venue.separate_private_feed}

    assert set("EEX7 EEX NDAQ ICE GMEP GMEG IDEX IENX MIBG NODX EPEX".split()) == separate


def test_ten_venues_sum_orders_by_level() -> None:
    assert 10 == sum(venue.levels == "levels" for venue in VENUES.values())
    assert "orders" == VENUES["EPEX"].levels


@pytest.mark.parametrize(
    "code, kind, since",
    [("SPEC", "broker", "2020-01-31"), ("ICE", "exchange", "2020-02-01"), ("EPEX", "exchange", "2021-02-01"),
     ("OMIP", "exchange", None)],
)  # fmt: skip
def test_public_orders_begin_on_the_date_of_the_guide(code: str, kind: str, since: str | None) -> None:
    assert (kind, since) == (VENUES[code].kind, VENUES[code].orders_from)


def test_venues_are_selected_by_activity() -> None:
    assert (45, 21, 66) == (len(select(True)), len(select(False)), len(select()))
