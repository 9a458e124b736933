"""What the key may see: the smallest questions that tell, and what their answers mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pandas as pd

from ..contracts import Contract, Market, SequenceItem
from ..endpoints import ACTIVITY, PRIVATE_TRADES, REFERENCE, TOP_OF_BOOK, Request
from ..transport import AttemptResult
from ..wire import ProductEntry, SequenceEntry, contract_params, interval_params, parse_json, structure, window_params
from .checks import Check, not_checked
from .way import is_of_use

__all__ = [
    "MARKETS",
    "access",
    "books",
    "contract",
    "intraday",
    "private",
    "private_trades",
    "this_minute",
    "top_of_book",
]

T = TypeVar("T")

_MINUTE = pd.Timedelta(minutes=1)
# What most keys may see; any other will do.
_LIKELY = ("TTF Hi Cal 51.6", "Months")

# --- questions -------------------------------------------------------------------------------------------------------

MARKETS = Request(REFERENCE["markets"])


def private_trades(now: pd.Timestamp) -> Request:
    """One's own, of the last minute that every key may see."""
    return Request(PRIVATE_TRADES, window_params(now.floor("D") - _MINUTE, now.floor("D")), until=now.floor("D"))


def this_minute(now: pd.Timestamp) -> Request | None:
    """What was traded in the last whole minute, of any product; None where that was still yesterday."""
    end = now.floor("min")
    return None if end == end.floor("D") else Request(ACTIVITY, window_params(end - _MINUTE, end), until=end)


def top_of_book(now: pd.Timestamp, contract: Contract) -> Request:
    """One point, at the end of yesterday."""
    end = now.floor("D")
    params = (*window_params(end - _MINUTE, end), *interval_params(1, "minute"), *contract_params(contract))
    return Request(TOP_OF_BOOK, params, until=end)


def contract(markets: AttemptResult, ask: Callable[[Request], AttemptResult]) -> Contract:
    """A contract of a market that the key may see, by two more look-ups.

    Raises ``LookupError`` if there is none, and ``DecodeError`` if an answer cannot be read.
    """
    listed = _listed(markets, list[ProductEntry], "markets")
    market = next((each for each in listed if each.name.startswith(_LIKELY[0])), listed[0])
    answer = ask(Request(REFERENCE["market sequences"], ids=(market.id,)))
    sequences = _listed(answer, list[SequenceEntry], f"sequences of {market.name}")
    sequence = next((each for each in sequences if each.name.endswith(_LIKELY[1])), sequences[0])
    answer = ask(Request(REFERENCE["sequence items"], (("count", "2"),), ids=(sequence.id,)))
    items = _listed(answer, list[SequenceItem], f"items of {sequence.name}")
    # The first is being delivered, the next one trades.
    return Contract(Market(market.id, market.name), sequence.id, items[-1].id)


def _listed(answer: AttemptResult, kind: type[list[T]], what: str) -> list[T]:
    if answer.error is not None:
        raise LookupError(f"the {what}: {answer.error}")
    found = structure(parse_json(answer.body, what), kind, what)
    if not found:
        raise LookupError(f"the reference API lists no {what}")
    return found


# --- answers ---------------------------------------------------------------------------------------------------------

_FORBIDDEN = "403 said so, which a key under load may hear, too"
_ASK = "for more, ask Trayport"


def access(answers: dict[str, AttemptResult]) -> Check:
    """Is the key accepted, by those of the APIs that can be asked?"""
    asked = {api: answer for api, answer in answers.items() if is_of_use(answer)}
    if not asked:
        return not_checked("access", "neither API can be asked")
    refusing = [api for api, answer in asked.items() if answer.status == 401]
    if refusing:
        what = f"{_neither(refusing)} the key (401)"
        return Check(
            "access", "failure", what, "compare it with the one that Trayport gave you, or ask them for another"
        )
    accepting = [api for api, answer in asked.items() if answer.status != 403]
    if not accepting:
        what = f"{_neither(list(asked))} the key (403): it has no rights there, or it is throttled"
        return Check("access", "failure", what, "wait some minutes and look again; if it lasts, ask Trayport")
    by = "both APIs" if len(accepting) == 2 else f"the {accepting[0]} API"
    return Check("access", "ok", f"the key is accepted by {by}")


def _neither(apis: list[str]) -> str:
    return "neither API accepts" if len(apis) == 2 else f"the {apis[0]} API does not accept"


def private(answer: AttemptResult) -> Check:
    """Own trades?"""
    return _right("own trades", answer)


def books(answer: AttemptResult, contract: Contract) -> Check:
    """Order books, of a product that the key may not even see?"""
    if answer.status == 404:
        return not_checked("order books", f"the key may not see {contract.product.name}")
    return _right("order books", answer)


def _right(name: str, answer: AttemptResult) -> Check:
    if answer.status == 200:
        return Check(name, "ok", "the key may see them")
    if answer.status == 403:
        return Check(name, "note", f"the key has no right to them ({_FORBIDDEN})", _ASK)
    return _unanswered(name, answer)


def intraday(answer: AttemptResult, wanted: bool) -> Check:
    """Today, and do the settings (``wanted``) fit?"""
    if answer.status == 200 and wanted:
        return Check("intraday", "ok", "the key may see today, and Config.intraday shows it")
    if answer.status == 200:
        return Check("intraday", "note", "the key may see today", "Config.intraday=True (TRAYPORT_INTRADAY) shows it")
    if answer.status not in (401, 403):
        return _unanswered("intraday", answer)
    why = "" if answer.status == 401 else f" ({_FORBIDDEN})"
    if wanted:
        what = f"the key may not see today{why}, but Config.intraday=True asks for it"
        advice = "take intraday (TRAYPORT_INTRADAY) away, or ask Trayport for the Data Analytics Gateway"
        return Check("intraday", "warning", what, advice)
    what = f"the key may not see today{why}: data end at 00:00 UTC"
    return Check("intraday", "note", what, f"{_ASK} for the Data Analytics Gateway")


def _unanswered(name: str, answer: AttemptResult) -> Check:
    return not_checked(name, str(answer.error or "no answer"))
