"""Keys, their entitlements, and the caller of a request.

Page numbers refer to the API guide, see docs/sources.md.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TypeAlias

import attrs
from attrs import frozen

from . import universe
from .parameters import HOUR, date_at, midnight, unauthorized
from .universe import Product

Route: TypeAlias = tuple[int, str]

ROUTES: tuple[Route, ...] = ((652, "House"), (904, "Desk"))
"""All routes by rising id. Without the parameter ``routes``, rows of a key's first route are returned."""


def _as_tuple(names: Iterable[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def _as_set(names: Iterable[str]) -> frozenset[str]:
    return frozenset(_as_tuple(names))


def _check_bool(_: object, attribute: attrs.Attribute[bool], value: object) -> None:
    if not isinstance(value, bool):
        raise ValueError(f"{attribute.name}={value!r} must be True or False")


def _check_routes(_: object, __: object, names: tuple[str, ...]) -> None:
    known = [name for _, name in ROUTES]
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise ValueError(f"routes={names!r} must name one or more of {', '.join(known)}")


def _check_products(_: object, __: object, names: frozenset[str]) -> None:
    known = {product.name for product in universe.products().values()}
    unknown = sorted(names - known)
    if unknown:
        raise ValueError(f"outside contains {unknown[0]!r}, which is no product's name")


@frozen(kw_only=True)
class Rights:
    """Entitlements of a key.

    The responses to requests without an entitlement are assumed. Users have reported two: 401 for the current day,
    and 404 for a market.
    """

    intraday: bool = attrs.field(default=False, validator=_check_bool)
    """True if the key is entitled to the current UTC day; without it, such requests are answered with 401."""
    private: bool = attrs.field(default=True, validator=_check_bool)
    """True if the key is entitled to its owner's trades and orders; without it, ``/trades/private`` is 403, and no
    other response contains private data."""
    books: bool = attrs.field(default=True, validator=_check_bool)
    """True if the key is entitled to order books; without it, they are 403, and snapshots have no best orders."""
    routes: tuple[str, ...] = attrs.field(
        default=tuple(name for _, name in ROUTES), converter=_as_tuple, validator=_check_routes
    )
    """Names of the routes that the company trades on."""
    outside: frozenset[str] = attrs.field(default=frozenset[str](), converter=_as_set, validator=_check_products)
    """Names of products that the key is not entitled to: a market is answered with 404, an instrument with no rows.
    The instruments of such a market are not entitled either."""

    def sees(self, product: Product) -> bool:
        """Return True if the key is entitled to a product."""
        return product.name not in self.outside and product.market not in self.outside


KEY = "sandbox-key"
KEYS: Mapping[str, Rights] = MappingProxyType(
    {
        KEY: Rights(),
        "sandbox-intraday": Rights(intraday=True),
        "sandbox-basic": Rights(private=False, books=False, routes=("House",), outside=frozenset({"EUA", "NBP"})),
    }
)
"""The default keys of a sandbox."""


@frozen
class Caller:
    """The caller of a request: the current time in nanoseconds since 1970, and the entitlements of the key."""

    now: int
    rights: Rights
    late: int
    """Hours after midnight UTC at which the previous day becomes available."""

    @property
    def today(self) -> datetime.date:
        """Current day in UTC."""
        return date_at(self.now)

    @property
    def horizon(self) -> int:
        """End of the range that the key may request, in nanoseconds since 1970."""
        return self.now if self.rights.intraday else midnight(self.today)

    @property
    def known(self) -> int:
        """End of the available data; later rows are missing from every response."""
        return self.now if self.rights.intraday else midnight(date_at(self.now - self.late * HOUR))

    @property
    def routes(self) -> tuple[Route, ...]:
        """Routes of the key by rising id."""
        return tuple(route for route in ROUTES if route[1] in self.rights.routes)

    def check(self, name: str, end: int) -> None:
        """Raise Refused with 401 if a range reaches into the current day without the entitlement."""
        if end > midnight(self.today) and not self.rights.intraday:
            raise unauthorized(f"{name}: reaches into the current day, to which the key is not entitled")
