"""Names for frames that hold ids."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import pandas as pd

from ..contracts import Contract, Instrument, Market
from ..contracts.contract import kind_of
from ..decoding import STRING
from ..errors import ContractError, QueryError, TrayportWarning

if TYPE_CHECKING:
    from ..refdata import Catalogue

__all__ = ["label"]

_PRODUCT = ("instrument_id", "market_id")
_NEEDED = ("sequence_id", "sequence_item_id")
_COLUMNS = (*_PRODUCT, *_NEEDED, "second_sequence_item_id", "contract_type")


def label(frame: pd.DataFrame, catalogue: Catalogue) -> pd.DataFrame:
    """``frame`` with a first column ``contract``; see ``Client.label``."""
    missing = [name for name in _NEEDED if name not in frame]
    if missing or not any(name in frame for name in _PRODUCT):
        raise QueryError(
            f"label needs the columns instrument_id or market_id, and {' and '.join(_NEEDED)}; the frame has "
            f"{', '.join(map(str, frame.columns)) or 'none'}"
        )
    if "contract_type" not in frame and frame.get("second_sequence_item_id", pd.Series(dtype=object)).notna().any():
        raise QueryError("label needs the column contract_type to tell spreads from ranges")
    ids = frame.reindex(columns=list(_COLUMNS)).astype(object).where(lambda cells: cells.notna(), None)
    rows = list(ids.itertuples(index=False, name=None))
    names = {row: _name(row, catalogue) for row in dict.fromkeys(rows)}
    unknown = sum(name is None for name in names.values())
    if unknown:
        warnings.warn(
            f"{unknown} of {len(names)} contracts are not in the reference data; their label is empty",
            TrayportWarning,
            stacklevel=3,
        )
    labelled = frame.drop(columns="contract", errors="ignore")
    labelled.insert(0, "contract", pd.Series([names[row] for row in rows], index=frame.index, dtype=STRING))
    return labelled


def _name(row: tuple[Any, ...], catalogue: Catalogue) -> str | None:
    instrument, market, sequence, item, second, kind = row
    try:
        product = Instrument(int(instrument)) if instrument is not None else Market(int(market))
        contract = Contract(
            product,
            int(sequence),
            int(item),
            None if second is None else int(second),
            "single" if kind is None else kind_of(kind),
        )
        return catalogue.complete(contract).label
    except (ContractError, TypeError):
        return None
