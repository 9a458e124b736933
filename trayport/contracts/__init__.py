"""What is traded: products, contracts and delivery periods, as pure values."""

from __future__ import annotations

from .contract import Contract, ContractLike, Front, Instrument, Kind, Market, Product, ProductLike
from .listing import Listing, SequenceItem
from .periods import Period

__all__ = [
    "Contract",
    "ContractLike",
    "Front",
    "Instrument",
    "Kind",
    "Listing",
    "Market",
    "Period",
    "Product",
    "ProductLike",
    "SequenceItem",
]
