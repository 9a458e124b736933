"""Products, contracts and delivery periods as pure values, and the reading of their names."""

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
    normalize_name,
    typed_id_hint,
)
from .periods import Period
from .symbology import Candidate, Listing, Reading, Readings, SequenceItem, choose, name_of, readings

__all__ = [
    "Candidate",
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
    "Reading",
    "Readings",
    "SequenceItem",
    "Specification",
    "as_int",
    "choose",
    "name_of",
    "normalize_name",
    "readings",
    "typed_id_hint",
]
