"""What is traded: a product and one delivery period of it, or two against or between each other."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, ClassVar, Literal, TypeAlias, get_args

from attrs import evolve, field, frozen

from ..errors import ContractError

__all__ = [
    "Contract",
    "ContractLike",
    "Front",
    "Instrument",
    "Kind",
    "Market",
    "Product",
    "ProductLike",
    "Specification",
    "as_int",
    "typed_id_hint",
]

Kind: TypeAlias = Literal["single", "spread", "range"]

# How the two periods of each kind stand together in a name.
JOINTS: dict[Kind, str] = {"spread": "/", "range": ".."}

_TOKEN_JOINTS: dict[Kind, str] = {"spread": "_", "range": "-to-"}
# Ids without leading zeros, so that one contract has one token; 19 digits hold every 64-bit integer.
_ID = "[1-9][0-9]{0,18}"
_TOKEN = re.compile(
    f"(?P<product>[mi])(?P<product_id>{_ID})-(?P<sequence>{_ID})-(?P<item>{_ID})((?P<joint>_|-to-)(?P<second>{_ID}))?"
)


def as_int(value: Any) -> Any:
    """An int for what is one in all but its type, such as an id out of a frame; anything else as it is."""
    # numpy's own bool is an index to its older versions.
    if isinstance(value, bool) or type(value).__name__ == "bool_" or not hasattr(value, "__index__"):
        return value
    return operator.index(value)


def _id(name: str) -> Callable[[Any, Any, Any], None]:
    """A check that takes whole numbers only."""

    def check(_: Any, __: Any, value: Any) -> None:
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ContractError(f"{name} {value!r} is no id: a whole number from 1 up")

    return check


@frozen
class Instrument:
    """One venue's listing of a product, by the id that the Reference Data API gives it."""

    id: int = field(converter=as_int, validator=_id("instrument"))
    name: str | None = field(default=None, eq=False)
    spelling: str | None = field(default=None, eq=False, repr=False, kw_only=True)
    """What finds it where its plain name would find another product."""

    kind: ClassVar[str] = "instrument"

    @property
    def label(self) -> str:
        """Its canonical name: ``TTF Hi Cal 51.6 EEX``; ``instrument:TTF Hi Cal 51.6`` beside a market of that name."""
        return self.spelling or self.name or f"instrument:{self.id}"


@frozen
class Market:
    """A commingled product: all venues' instruments together, shown by Joule with a star."""

    id: int = field(converter=as_int, validator=_id("market"))
    name: str | None = field(default=None, eq=False)
    spelling: str | None = field(default=None, eq=False, repr=False, kw_only=True)
    """What finds it where its plain name would find another product."""

    kind: ClassVar[str] = "market"

    @property
    def label(self) -> str:
        """Its canonical name: ``TTF Hi Cal 51.6*``; with its id where the name is not known."""
        return self.spelling or (f"{self.name}*" if self.name else f"market:{self.id}")


Product: TypeAlias = Instrument | Market
ProductLike: TypeAlias = str | Instrument | Market


@frozen
class Specification:
    """The currencies and units of a product's prices and quantities, as the API spells them.

    ``quantity_unit`` is that of ``quantity`` in trades, a rate of delivery such as ``MW`` where the product is
    power or gas; ``notional_quantity_unit`` that of the energy behind it, such as ``MWh``.
    """

    price_currency: str | None = None
    quantity_unit: str | None = None
    notional_currency: str | None = None
    notional_quantity_unit: str | None = None


def typed_id_hint(value: Any) -> str:
    """What to write instead of a bare id, which two products may have; nothing for what is no id."""
    number = as_int(value)
    if not isinstance(number, int) or isinstance(number, bool):
        return ""
    return f"; ids are typed, since both kinds have eight digits: write Market({number}) or Instrument({number})"


def _product(_: Any, __: Any, value: Any) -> None:
    if not isinstance(value, Instrument | Market):
        raise ContractError(f"product {value!r} is neither an Instrument nor a Market{typed_id_hint(value)}")


@frozen
class Contract:
    """A product and a delivery period, by their ids; with a second period, a spread or a range.

    Buying a spread buys the first period and sells the second (guide p. 28). ``name``, ``period_start`` and
    ``period_end`` are filled by ``trayport.resolve`` and are not compared; of a spread they are the first period's,
    of a range the whole's.

    >>> april = Contract(Market(10000065), 10000305, 232)
    >>> may = Contract(Market(10000065), 10000305, 233)
    >>> april.spread(may)
    Contract(product=Market(id=10000065, name=None), sequence_id=10000305, item_id=232, second_item_id=233,
             kind='spread', name=None)
    """

    product: Product = field(validator=_product)
    sequence_id: int = field(converter=as_int, validator=_id("sequence_id"))
    item_id: int = field(converter=as_int, validator=_id("item_id"))
    second_item_id: int | None = field(default=None, converter=as_int)
    kind: Kind = field(default="single")
    name: str | None = field(default=None, eq=False, kw_only=True)
    period_start: datetime | None = field(default=None, eq=False, repr=False, kw_only=True)
    period_end: datetime | None = field(default=None, eq=False, repr=False, kw_only=True)

    @kind.validator
    def _fits(self, _: object, kind: object) -> None:
        if kind not in get_args(Kind):
            raise ContractError(f"kind {kind!r} is none of 'single', 'spread' and 'range'")
        if kind == "single" and self.second_item_id is not None:
            raise ContractError("a second period makes a contract a spread or a range: give kind='spread' or 'range'")
        if kind != "single":
            _id("second_item_id")(None, None, self.second_item_id)
            if self.second_item_id == self.item_id:
                raise ContractError(f"a {kind} needs two different periods; both are item {self.item_id}")

    def spread(self, other: Contract) -> Contract:
        """This period bought and ``other`` sold."""
        return self._with(other, "spread")

    def range(self, other: Contract) -> Contract:
        """All periods from this one to ``other``."""
        return self._with(other, "range")

    def _with(self, other: Contract, kind: Kind) -> Contract:
        if not isinstance(other, Contract):
            raise ContractError(f"a {kind} joins two contracts, not {other!r}: write trayport.resolve({other!r})")
        if self.kind != "single" or other.kind != "single":
            raise ContractError(f"a {kind} joins two single periods, not {self.label} and {other.label}")
        if (self.product, self.sequence_id) != (other.product, other.sequence_id):
            raise ContractError(
                f"a {kind} joins two periods of one product and one sequence; {self.label} and {other.label} differ "
                f"there. The API has no such contract: {workaround(kind)}"
            )
        if self.item_id == other.item_id:
            raise ContractError(f"a {kind} needs two different periods; {self.label} comes twice")
        if kind == "range" and self._follows(other):
            raise ContractError(f"a range runs forward in time: write {_joined(other, self, kind)!r}")
        return evolve(
            self,
            second_item_id=other.item_id,
            kind=kind,
            name=_joined(self, other, kind),
            period_end=self.period_end if kind == "spread" else other.period_end,
        )

    def __str__(self) -> str:
        return self.label

    def _follows(self, other: Contract) -> bool:
        return bool(self.period_start and other.period_start and self.period_start > other.period_start)

    @property
    def label(self) -> str:
        """Its canonical name; made of its ids where the name is not known."""
        if self.name:
            return self.name
        items = str(self.item_id) if self.second_item_id is None else f"{self.item_id}, {self.second_item_id}"
        return f"{self.product.label} {self.sequence_id}:{items}"

    @property
    def token(self) -> str:
        """The contract's ids as one word of ``a-z 0-9 _ -``, for names of folders, subjects and URLs.

        >>> april = Contract(Market(10000065), 10000305, 244)
        >>> may = Contract(Market(10000065), 10000305, 245)
        >>> april.token
        'm10000065-10000305-244'
        >>> april.spread(may).token, april.range(may).token
        ('m10000065-10000305-244_245', 'm10000065-10000305-244-to-245')
        """
        joint = "" if self.kind == "single" else _TOKEN_JOINTS[self.kind]
        second = "" if self.second_item_id is None else self.second_item_id
        return f"{self.product.kind[0]}{self.product.id}-{self.sequence_id}-{self.item_id}{joint}{second}"

    @classmethod
    def from_token(cls, token: str) -> Contract:
        """Return the contract of a ``token``, without a name or a delivery.

        Parameters
        ----------
        token : str
            As ``Contract.token`` writes it.

        Returns
        -------
        Contract
            Equal to the one that the token was made from.

        Raises
        ------
        ContractError
            The text is not a token.

        >>> Contract.from_token("i10002806-10000305-244")
        Contract(product=Instrument(id=10002806, name=None), sequence_id=10000305, item_id=244, second_item_id=None,
                 kind='single', name=None)
        """
        match = _TOKEN.fullmatch(token) if isinstance(token, str) else None
        if match is None:
            raise ContractError(
                f"{token!r} is not the token of a contract",
                "write it as Contract.token does, such as 'm10000065-10000305-244'",
            )
        product = (Market if match["product"] == "m" else Instrument)(int(match["product_id"]))
        kind: Kind = next((kind for kind, joint in _TOKEN_JOINTS.items() if joint == match["joint"]), "single")
        second = None if match["second"] is None else int(match["second"])
        return cls(product, int(match["sequence"]), int(match["item"]), second, kind)


# A name that two sequences of a product share is made exact by the sequence's id behind it: "TTF BOM [10000302]".
QUALIFIER = re.compile(r"\s*\[(?P<sequence>\d{1,18})\]$", re.ASCII)


def _joined(first: Contract, second: Contract, kind: Kind) -> str | None:
    """'TTF* Apr-23' and 'TTF* May-23' as 'TTF* Apr-23/May-23', with one qualifier for both."""
    if first.name is None or second.name is None:
        return None
    qualifier = QUALIFIER.search(first.name) or QUALIFIER.search(second.name)
    bare, other = (QUALIFIER.sub("", name) for name in (first.name, second.name))
    name = bare + JOINTS[kind] + other.removeprefix(f"{second.product.label} ")
    return name + (qualifier[0] if qualifier else "")


def workaround(kind: Kind) -> str:
    """What to do where the API has no such spread or range."""
    return "ask for the two and take the difference" if kind == "spread" else "ask for each of its periods"


@frozen
class Front:
    """The first ``count`` tradable items of a sequence: at the start of each calendar month of a window.

    They stay the same until the next month begins: one that expires before that is not replaced by another, and
    for days, weekends and weeks, which come and go within a month, it is better to name the contracts.

    ``product`` is a name, a ``Market`` or an ``Instrument``; ``sequence`` an id, a full name or a last word
    that only one of the product's sequences has, such as ``"Months"``.
    """

    product: ProductLike = field()
    sequence: str | int = field(converter=as_int)
    count: int = field(converter=as_int)

    @product.validator
    def _named(self, _: Any, product: Any) -> None:
        if isinstance(product, Instrument | Market) or (isinstance(product, str) and product.strip()):
            return
        raise ContractError(
            f"Front product {product!r} is neither a name, such as 'TTF', nor an Instrument or a Market"
            f"{typed_id_hint(product)}"
        )

    @sequence.validator
    def _called(self, _: Any, sequence: Any) -> None:
        good = sequence.strip() if isinstance(sequence, str) else type(sequence) is int and sequence > 0
        if not good:
            raise ContractError(f"Front sequence {sequence!r} is neither an id nor a name, such as 'Months'")

    @count.validator
    def _positive(self, _: Any, count: Any) -> None:
        if type(count) is not int or count < 1:
            raise ContractError(f"Front count {count!r} must be a whole number from 1 up")

    @property
    def label(self) -> str:
        """What it asks for, in a few words."""
        product = self.product if isinstance(self.product, str) else self.product.label
        return f"{product} front {self.count} of {self.sequence}"


ContractLike: TypeAlias = str | Contract | Front | Iterable[str | Contract]
