"""The objects of a response that are not rows: a row's contract, and an error's body.

The columns of rows are in ``endpoints``. Page numbers refer to the API guide, see docs/sources.md.
"""

from __future__ import annotations

import json
from typing import Any

from ..contracts import Kind
from ..errors import ContractError

__all__ = ["CONTRACT_OBJECT", "error_detail", "kind_of"]

CONTRACT_OBJECT = {
    "contract_type": "contractType",
    "sequence_id": "sequenceId",
    "item_id": "sequenceItemId",
    "second_item_id": "secondSequenceItemId",
    "market_id": "marketId",
    "instrument_id": "instrumentId",
}
"""The fields of a row's ``contract`` object: our name and the API's."""

# Responses spell PeriodSpread and PeriodRange (guide pp. 21, 23, 26), requests Spread and Range (guide p. 28).
_KINDS: dict[str, Kind] = {
    "singleperiod": "single",
    "spread": "spread",
    "periodspread": "spread",
    "range": "range",
    "periodrange": "range",
}


def kind_of(contract_type: str) -> Kind:
    """Return the kind that a response's contract type means, in either spelling.

    >>> kind_of("PeriodSpread")
    'spread'
    """
    try:
        return _KINDS[contract_type.lower()]
    except (AttributeError, KeyError):
        raise ContractError(f"contract type {contract_type!r} is none of {', '.join(_KINDS)}") from None


def error_detail(text: str) -> str:
    """Return the message in an error's body. The guide gives no shape for it, and users saw several."""
    text = text.strip()
    try:
        body: Any = json.loads(text)
    except (ValueError, RecursionError):
        # HTML comes from a gateway or a proxy; its markup is of no use in a message.
        return "an HTML page instead of an answer" if text.startswith("<") else text
    if not isinstance(body, dict):
        return str(body) if body else ""
    if isinstance(body.get("errors"), dict):
        return "; ".join(
            f"{name}: {' '.join(map(str, messages)) if isinstance(messages, list) else messages}"
            for name, messages in body["errors"].items()
        )
    return next((str(body[name]) for name in ("title", "detail", "message") if body.get(name)), "")
