"""Everything that spells a parameter, header or object of the API; with ``endpoints``, its guide as code.

No other room spells them, so that a new version of the API, or a second provider, changes this one.
"""

from __future__ import annotations

from .reference import (
    ProductDetail,
    ProductEntry,
    SequenceEntry,
    parse_json,
    sequence_item_params,
    structure,
)
from .request import (
    Params,
    contract_params,
    entitlement_params,
    field_params,
    front_params,
    instant_params,
    interval_params,
    new_request_id,
    option_params,
    request_headers,
    window_params,
)
from .response import CONTRACT_OBJECT, error_detail, kind_of

__all__ = [
    "CONTRACT_OBJECT",
    "Params",
    "ProductDetail",
    "ProductEntry",
    "SequenceEntry",
    "contract_params",
    "entitlement_params",
    "error_detail",
    "field_params",
    "front_params",
    "request_headers",
    "instant_params",
    "interval_params",
    "kind_of",
    "new_request_id",
    "option_params",
    "parse_json",
    "sequence_item_params",
    "structure",
    "window_params",
]
