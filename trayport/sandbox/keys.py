"""What a key may see, and who asks at which moment."""

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
"""The routes that there are, by rising id: a key's first is the one that is shown unless others are asked for."""


def _texts(names: Iterable[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def _set(names: Iterable[str]) -> frozenset[str]:
    return frozenset(_texts(names))


def _is_bool(_: object, attribute: attrs.Attribute[bool], value: object) -> None:
    if not isinstance(value, bool):
        raise ValueError(f"{attribute.name}={value!r} must be True or False")


def _known_routes(_: object, __: object, names: tuple[str, ...]) -> None:
    known = [name for _, name in ROUTES]
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise ValueError(f"routes={names!r} must name one or more of {', '.join(known)}")


def _known_products(_: object, __: object, names: frozenset[str]) -> None:
    known = {product.name for product in universe.products().values()}
    unknown = sorted(names - known)
    if unknown:
        raise ValueError(f"outside names {unknown[0]!r}, which is no product's name")


@frozen(kw_only=True)
class Rights:
    """What a key may see.

    What a missing right is answered with is assumed, but for two answers that users met: 401 for today, and 404 for a
    market.
    """

    intraday: bool = attrs.field(default=False, validator=_is_bool)
    """The current UTC day? Without, what reaches into it is answered with 401."""
    private: bool = attrs.field(default=True, validator=_is_bool)
    """Its owner's own trades and orders? Without, ``/trades/private`` is 403, and nothing else is private."""
    books: bool = attrs.field(default=True, validator=_is_bool)
    """Order books? Without, they are 403, and a snapshot has no best orders."""
    routes: tuple[str, ...] = attrs.field(
        default=tuple(name for _, name in ROUTES), converter=_texts, validator=_known_routes
    )
    """The routes that its company trades by."""
    outside: frozenset[str] = attrs.field(default=frozenset[str](), converter=_set, validator=_known_products)
    """Names of products that its company does not receive: a market is answered with 404, an instrument with no rows;
    with a market its instruments are outside, too."""

    def sees(self, product: Product) -> bool:
        """Is a product within the entitlement?"""
        return product.name not in self.outside and product.market not in self.outside


KEY = "sandbox-key"
KEYS: Mapping[str, Rights] = MappingProxyType(
    {
        KEY: Rights(),
        "sandbox-intraday": Rights(intraday=True),
        "sandbox-basic": Rights(private=False, books=False, routes=("House",), outside=frozenset({"EUA", "NBP"})),
    }
)
"""The keys that a sandbox knows unless told otherwise."""


@frozen
class Caller:
    """Who asks, and when: the rights of the key, and the present moment in nanoseconds since 1970."""

    now: int
    rights: Rights
    late: int
    """So many hours after midnight the day before is there."""

    @property
    def today(self) -> datetime.date:
        """The present day in UTC."""
        return date_at(self.now)

    @property
    def horizon(self) -> int:
        """The end of what the key may ask for."""
        return self.now if self.rights.intraday else midnight(self.today)

    @property
    def known(self) -> int:
        """The end of what there is to see: later than it, rows are missing."""
        return self.now if self.rights.intraday else midnight(date_at(self.now - self.late * HOUR))

    @property
    def routes(self) -> tuple[Route, ...]:
        """The key's routes, by rising id."""
        return tuple(route for route in ROUTES if route[1] in self.rights.routes)

    def check(self, name: str, end: int) -> None:
        """401 to what reaches into today without the right to it."""
        if end > midnight(self.today) and not self.rights.intraday:
            raise unauthorized(f"{name}: reaches into today, which the key may not see")
