"""Products and contracts, by their ids and canonical names.

Page numbers refer to the API guide, see docs/sources.md.
"""

from __future__ import annotations

import datetime
import operator
import re
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Literal, TypeAlias, get_args

from attrs import evolve, field, frozen

from ..errors import ContractError

__all__ = [
    "JOINTS",
    "QUALIFIER",
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
    "normalize_name",
    "typed_id_hint",
    "workaround",
]

Kind: TypeAlias = Literal["single", "spread", "range"]
_KINDS = get_args(Kind)

JOINTS: dict[Kind, str] = {"spread": "/", "range": ".."}
"""The text between the two periods of a name, by kind."""
# A name that two sequences of a product share is made exact by the sequence's id after it: "TTF BOM [10000302]".
QUALIFIER = re.compile(r"\s*\[(?P<sequence>\d{1,18})\]$", re.ASCII)

_TOKEN_JOINTS: dict[Kind, str] = {"spread": "_", "range": "-to-"}
# Ids without leading zeros, so that one contract has one token; 19 digits hold every 64-bit integer.
_ID = "[1-9][0-9]{0,18}"
_TOKEN = re.compile(
    f"(?P<product>[mi])(?P<product_id>{_ID})-(?P<sequence>{_ID})-(?P<item>{_ID})((?P<joint>_|-to-)(?P<second>{_ID}))?"
)


def as_int(value: Any) -> Any:
    """Return an integer of another type, such as an id in a frame, as an ``int``; return other values unchanged."""
    if type(value) is int:
        return value
    # numpy.bool_ of older versions has __index__.
    if isinstance(value, bool) or type(value).__name__ == "bool_" or not hasattr(value, "__index__"):
        return value
    return operator.index(value)


def normalize_name(text: str) -> str:
    """Return ``text`` for comparison with other names: without case, and with single spaces."""
    return " ".join(text.split()).casefold()


def _id_validator(name: str) -> Callable[[Any, Any, Any], None]:
    """Return a validator that accepts positive integers only."""

    def check(_: Any, __: Any, value: Any) -> None:
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ContractError(f"{name} {value!r} is not an id, which is a whole number from 1 up")

    return check


def typed_id_hint(value: Any) -> str | None:
    """Return the remedy for an id without a type, which a market and an instrument may share; None for other values."""
    number = as_int(value)
    if not isinstance(number, int) or isinstance(number, bool):
        return None
    return f"markets and instruments both have such ids: write Market({number}) or Instrument({number})"


@frozen
class Instrument:
    """A product as one venue lists it.

    Parameters
    ----------
    id : int
        Its id in the Reference Data API.
    name : str, optional
        Its name, which is not compared.
    exact_name : str, optional
        The name that finds it, where another product has the same ``name``.
    """

    id: int = field(converter=as_int, validator=_id_validator("instrument"))
    name: str | None = field(default=None, eq=False)
    exact_name: str | None = field(default=None, eq=False, repr=False, kw_only=True)

    kind: ClassVar[str] = "instrument"

    @property
    def label(self) -> str:
        """The canonical name: ``TTF Hi Cal 51.6 EEX``; ``instrument:TTF Hi Cal 51.6`` if a market has that name."""
        return self.exact_name or self.name or f"instrument:{self.id}"


@frozen
class Market:
    """A product over all venues; Joule shows it with a star.

    Parameters
    ----------
    id : int
        Its id in the Reference Data API.
    name : str, optional
        Its name without the star, which is not compared.
    exact_name : str, optional
        The name that finds it, where another product has the same ``name``.
    """

    id: int = field(converter=as_int, validator=_id_validator("market"))
    name: str | None = field(default=None, eq=False)
    exact_name: str | None = field(default=None, eq=False, repr=False, kw_only=True)

    kind: ClassVar[str] = "market"

    @property
    def label(self) -> str:
        """The canonical name: ``TTF Hi Cal 51.6*``; ``market:10000065`` if the name is not known."""
        return self.exact_name or (f"{self.name}*" if self.name else f"market:{self.id}")


Product: TypeAlias = Instrument | Market
ProductLike: TypeAlias = str | Instrument | Market


@frozen
class Specification:
    """The currencies and units of a product, as the API spells them; None where it gives none.

    Parameters
    ----------
    price_currency : str, optional
        Currency of prices, such as ``EUR``.
    quantity_unit : str, optional
        Unit of the quantities of orders and trades. For power and gas it is a rate of delivery, such as ``MW``.
    notional_currency : str, optional
        Currency of notional values.
    notional_quantity_unit : str, optional
        Unit of the energy delivered, such as ``MWh``.
    """

    price_currency: str | None = None
    quantity_unit: str | None = None
    notional_currency: str | None = None
    notional_quantity_unit: str | None = None


def _check_product(_: Any, __: Any, value: Any) -> None:
    if not isinstance(value, Instrument | Market):
        raise ContractError(f"product {value!r} is neither an Instrument nor a Market", typed_id_hint(value))


@frozen
class Contract:
    """A product and a delivery period, by their ids; with a second period, a spread or a range.

    The buyer of a spread buys the first period and sells the second (guide p. 28). ``trayport.resolve`` makes
    contracts from names.

    Parameters
    ----------
    product : Market or Instrument
        The product.
    sequence_id : int
        The sequence of delivery periods, such as months.
    item_id : int
        The sequence's item: the delivery period, or the first of two.
    second_item_id : int, optional
        The second period of a spread or a range, in the same sequence.
    kind : {"single", "spread", "range"}, default "single"
        A range contains all periods from the first to the second.
    name : str, optional
        The canonical name. This and the next two are filled by ``trayport.resolve`` and not compared.
    period_start, period_end : datetime, optional
        The delivery, half-open: of a spread, of its first period; of a range, of all of it.

    >>> april = Contract(Market(10000065), 10000305, 232)
    >>> may = Contract(Market(10000065), 10000305, 233)
    >>> april.spread(may)
    Contract(product=Market(id=10000065, name=None), sequence_id=10000305, item_id=232, second_item_id=233,
             kind='spread', name=None)
    """

    product: Product = field(validator=_check_product)
    sequence_id: int = field(converter=as_int, validator=_id_validator("sequence_id"))
    item_id: int = field(converter=as_int, validator=_id_validator("item_id"))
    second_item_id: int | None = field(default=None, converter=as_int)
    kind: Kind = field(default="single")
    name: str | None = field(default=None, eq=False, kw_only=True)
    period_start: datetime.datetime | None = field(default=None, eq=False, repr=False, kw_only=True)
    period_end: datetime.datetime | None = field(default=None, eq=False, repr=False, kw_only=True)

    @kind.validator
    def _check_kind(self, _: object, kind: object) -> None:
        if kind not in _KINDS:
            raise ContractError(f"kind {kind!r} is none of 'single', 'spread' and 'range'")
        if kind == "single" and self.second_item_id is not None:
            raise ContractError("a contract of kind 'single' has one period", "give kind='spread' or 'range'")
        if kind != "single":
            _id_validator("second_item_id")(None, None, self.second_item_id)
            if self.second_item_id == self.item_id:
                raise ContractError(f"a {kind} needs two different periods; both are item {self.item_id}")

    def spread(self, other: Contract) -> Contract:
        """Return the spread that buys this period and sells ``other``.

        Parameters
        ----------
        other : Contract
            A single period of the same product and sequence.

        Returns
        -------
        Contract
            Of the kind ``"spread"``.

        Raises
        ------
        ContractError
            The two make no spread.
        """
        return self._join(other, "spread")

    def range(self, other: Contract) -> Contract:
        """Return the range of all periods from this one to ``other``.

        Parameters
        ----------
        other : Contract
            A later single period of the same product and sequence.

        Returns
        -------
        Contract
            Of the kind ``"range"``.

        Raises
        ------
        ContractError
            The two make no range.
        """
        return self._join(other, "range")

    def _join(self, other: Contract, kind: Kind) -> Contract:
        if not isinstance(other, Contract):
            raise ContractError(f"a {kind} joins two contracts, not {other!r}", f"write trayport.resolve({other!r})")
        if self.kind != "single" or other.kind != "single":
            raise ContractError(f"a {kind} joins two single periods, not {self.label} and {other.label}")
        if (self.product, self.sequence_id) != (other.product, other.sequence_id):
            raise ContractError(
                f"a {kind} joins two periods of one product and one sequence, and {self.label} and {other.label} have "
                "different ones. The API has no such contract",
                workaround(kind),
            )
        if self.item_id == other.item_id:
            raise ContractError(f"a {kind} needs two different periods; {self.label} comes twice")
        if kind == "range" and self.period_start and other.period_start and self.period_start > other.period_start:
            raise ContractError("a range runs forward in time", f"write {_joined_name(other, self, kind)!r}")
        return evolve(
            self,
            second_item_id=other.item_id,
            kind=kind,
            name=_joined_name(self, other, kind),
            period_end=self.period_end if kind == "spread" else other.period_end,
        )

    def __str__(self) -> str:
        return self.label

    @property
    def label(self) -> str:
        """The canonical name; one made of the ids if the name is not known."""
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


def _joined_name(first: Contract, second: Contract, kind: Kind) -> str | None:
    """Return 'TTF* Apr-23/May-23' for 'TTF* Apr-23' and 'TTF* May-23', with one qualifier for both."""
    if first.name is None or second.name is None:
        return None
    qualifier = QUALIFIER.search(first.name) or QUALIFIER.search(second.name)
    bare, other = (QUALIFIER.sub("", name) for name in (first.name, second.name))
    name = bare + JOINTS[kind] + other.removeprefix(f"{second.product.label} ")
    return name + (qualifier[0] if qualifier else "")


def workaround(kind: Kind) -> str:
    """Return the remedy for a spread or a range that the API does not have."""
    return "ask for the two and take the difference" if kind == "spread" else "ask for each of its periods"


@frozen
class Front:
    """The first ``count`` tradable items of a sequence at the start of each calendar month of a window.

    They stay the same until the next month begins: an item that expires earlier is not replaced. Days, weekends and
    weeks expire within a month, so name those contracts instead.

    Parameters
    ----------
    product : str, Market or Instrument
        The product or its name.
    sequence : str or int
        A sequence of the product: its id, its full name, or a last word that only one of the product's sequences
        has, such as ``"Months"``.
    count : int
        Number of items, from 1 up.
    """

    product: ProductLike = field()
    sequence: str | int = field(converter=as_int)
    count: int = field(converter=as_int)

    @product.validator
    def _check_product(self, _: Any, product: Any) -> None:
        if isinstance(product, Instrument | Market) or (isinstance(product, str) and product.strip()):
            return
        raise ContractError(
            f"Front product {product!r} is neither a name, such as 'TTF', nor an Instrument or a Market",
            typed_id_hint(product),
        )

    @sequence.validator
    def _check_sequence(self, _: Any, sequence: Any) -> None:
        is_valid = sequence.strip() if isinstance(sequence, str) else type(sequence) is int and sequence > 0
        if not is_valid:
            raise ContractError(f"Front sequence {sequence!r} is neither an id nor a name, such as 'Months'")

    @count.validator
    def _check_count(self, _: Any, count: Any) -> None:
        if type(count) is not int or count < 1:
            raise ContractError(f"Front count {count!r} is not a whole number from 1 up")

    @property
    def label(self) -> str:
        """A short description: ``TTF front 12 of Months``."""
        product = self.product if isinstance(self.product, str) else self.product.label
        return f"{product} front {self.count} of {self.sequence}"


ContractLike: TypeAlias = str | Contract | Front | Iterable[str | Contract]
