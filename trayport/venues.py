"""The venues of the trades and orders that the API has.

Page numbers refer to the API guide, see docs/sources.md.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from attrs import frozen

Kind: TypeAlias = Literal["broker", "exchange"]
Depth: TypeAlias = Literal["levels", "orders"]


@frozen
class Venue:
    """A venue, and the form of its data.

    Parameters
    ----------
    code, name : str
        Its code in responses, and its name.
    id : int
        Trayport's id.
    active : bool
        Whether it is active.
    kind : {"broker", "exchange"}, default "broker"
        The kind of venue.
    levels : {"orders", "levels"}, default "orders"
        "levels" if public orders are summed by price level, "orders" if each is a row.
    separate_private_feed : bool, default False
        True if own trades come twice, once private and once anonymous.
    orders_from : str, optional
        The first day of public orders; None if the guide gives none.
    """

    code: str
    name: str
    id: int
    active: bool
    kind: Kind = "broker"
    levels: Depth = "orders"
    separate_private_feed: bool = False
    orders_from: str | None = None


# guide pp. 39-41: code, name, id, active; in alphabetical order of codes.
_TABLE: tuple[tuple[str, str, int, bool], ...] = (
    ("42FS", "42 Financial", 8, True),
    ("ACGM", "Arraco Global Markets", 54, False),
    ("ACX", "Air Carbon", 2175, True),
    ("AGR", "Agrodity", 2172, True),
    ("ATLA", "Braemar Securities Ltd", 9, True),
    ("BALK", "Balkaner", 87, False),
    ("BETP", "BETP", 1593, True),
    ("BGC", "BGC", 10, True),
    ("BGH", "BGH", 1028, True),
    ("BPIF", "Bright Point International Financial (SG) Pte Ltd", 1432, True),
    ("BTON", "Brassington FFA", 86, False),
    ("CEGE", "CEGH", 16, False),
    ("CIMD", "CIMD", 13, True),
    ("CLKS", "Clarksons", 21, True),
    ("EBI", "Energy Brokers Ireland", 51, False),
    ("EEB", "Eagle Energy Brokers", 1392, False),
    ("EEX", "EEX (Legacy)", 27, False),
    ("EEX7", "EEX7", 1441, True),
    ("EEXS", "EEX Spot", 20, True),
    ("ENEC", "enechain Corporation", 1298, True),
    ("EPEX", "EPEX Spot", 29, True),
    ("EVOL", "Evolution Markets", 11, True),
    ("FINA", "Finacor", 1565, True),
    ("FIS", "Freight Investor Services Pte Ltd", 774, True),
    ("GFI", "GFI", 2, True),
    ("GFIO", "GFI Oil", 1052, True),
    ("GLOB", "GlobalCoal", 12, True),
    ("GMEG", "GME Gas", 480, True),
    ("GMEP", "GME Power", 134, True),
    ("GNGA", "Ginga", 22, False),
    ("GORE", "GlobalOre Broker", 23, False),
    ("GRFN", "Griffin Markets Europe SAS", 3, True),
    ("HXCX", "HUDEX/CEEGEX", 17, True),
    ("IBEX", "Independent Bulgarian Energy Exchange", 460, True),
    ("IBGH", "Iberian Gas Hub", 34, False),
    ("ICAP", "ICAP", 4, True),
    ("ICE", "Intercontinental Exchange", 30, True),
    ("IDEX", "IDEX", 135, False),
    ("IENX", "ICE ENDEX Spot", 148, True),
    ("LNKE", "Link Brokerage Enerji", 142, False),
    ("MAKE", "MAKE Brokerage", 52, True),
    ("MCQL", "McQuilling Brokerage Partners", 265, False),
    ("MIBG", "MIBGAS S.A.", 827, True),
    ("MXFR", "Marex Freight", 14, True),
    ("MYST", "MySteel Singapore", 75, True),
    ("NDAQ", "NASDAQ", 28, True),
    ("NODX", "Nodal", 946, True),
    ("OILB", "Oil Brokerage", 89, True),
    ("OMIP", "OMIP", 19, True),
    ("OPCO", "OPCOM", 25, True),
    ("OTCX", "OTCex", 15, True),
    ("PFL", "PFL Futures Limited", 879, False),
    ("PREB", "Tullett Prebon", 6, True),
    ("PVM", "PVM", 35, True),
    ("PXE", "PXE", 32, False),
    ("SHRD", "Shard", 47, False),
    ("SKM", "Svensk Kraftmakling AB", 331, False),
    ("SPEC", "Marex Spectron", 5, True),
    ("STAR", "Starfuels", 26, False),
    ("TFS", "Tradition", 7, True),
    ("TFSE", "Tradition Singapore Pte Ltd", 707, True),
    ("TSEC", "Tavira", 123, False),
    ("VELT", "Velocity Trade Alternative Products", 1874, True),
    ("VGM", "Vanir Global Markets", 1950, True),
    ("VIKI", "Viking Investor Services", 1048, False),
    ("ZARK", "Zark Capital", 186, False),
)

# guide p. 32: the exchanges that it names.
_EXCHANGES = frozenset(
    "CEGE EEX EEX7 EEXS EPEX GMEG GMEP HXCX IBEX IBGH ICE IDEX IENX MIBG NDAQ NODX OMIP OPCO PXE".split()
)
# guide pp. 11-12: public orders summed by price level; all others are single orders.
_LEVELS = frozenset("EEX7 EEX NDAQ ICE GMEP GMEG IDEX IENX MIBG NODX".split())
# guide p. 34: venues with a separate feed of own trades and orders.
_SEPARATE_FEED = _LEVELS | {"EPEX"}
# guide p. 32: public orders by month of their beginning. The day is our reading ("end of January" for brokers). The
# guide names EEX, which has had the code EEX7 since 2022.
_ORDERS_FROM = dict.fromkeys("EEX EEX7 ICE IENX".split(), "2020-02-01") | dict.fromkeys(
    "EPEX GMEG GMEP IDEX MIBG NDAQ NODX".split(), "2021-02-01"
)
_BROKERS_FROM = "2020-01-31"


def _venue(code: str, name: str, id: int, active: bool) -> Venue:
    exchange = code in _EXCHANGES
    return Venue(
        code,
        name,
        id,
        active,
        kind="exchange" if exchange else "broker",
        levels="levels" if code in _LEVELS else "orders",
        separate_private_feed=code in _SEPARATE_FEED,
        orders_from=_ORDERS_FROM.get(code) if exchange else _BROKERS_FROM,
    )


VENUES: dict[str, Venue] = {row[0]: _venue(*row) for row in _TABLE}
"""Every venue of the guide by its code; a response may contain other codes."""


def select(active: bool | None = None) -> list[Venue]:
    """Return the active venues, the others, or all of them for None."""
    return [venue for venue in VENUES.values() if active is None or venue.active is active]
