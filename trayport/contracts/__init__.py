"""What is traded: products, contracts and delivery periods, as pure values."""

from __future__ import annotations

from .contract import (
    Contract,
    ContractLike,
    Front,
    Instrument,
    Kind,
    Market,
    Product,
    ProductLike,
    Specification,
    as_int,
    typed_id_hint,
)
from .listing import Listing, SequenceItem, normalize_name
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
    "Specification",
    "as_int",
    "normalize_name",
    "typed_id_hint",
]
