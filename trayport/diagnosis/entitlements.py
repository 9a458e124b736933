"""Checks of the key's entitlements, by the smallest requests that show them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, TypeVar

import pandas as pd

from ..contracts import Contract, Market, SequenceItem
from ..endpoints import ACTIVITY, PRIVATE_TRADES, REFERENCE, TOP_OF_BOOK, Request
from ..errors import DecodeError, TrayportError
from ..transport import AttemptResult
from ..wire import ProductEntry, SequenceEntry, contract_params, interval_params, parse_json, structure, window_params
from .checks import Check, not_checked
from .network import is_usable

__all__ = ["MARKETS", "access", "intraday", "order_books", "own_trades", "own_trades_request"]

T = TypeVar("T")
Send: TypeAlias = Callable[[Request], AttemptResult]

MARKETS = Request(REFERENCE["markets"])
_MINUTE = pd.Timedelta(minutes=1)
# A market and a sequence that most keys are entitled to; without them, the first that is listed.
_LIKELY_MARKET, _LIKELY_SEQUENCE = "TTF Hi Cal 51.6", "Months"
_AMBIGUOUS = "403, which may also mean throttling"


def access(reference: AttemptResult, analytics: AttemptResult) -> Check:
    """Check that the APIs accept the key, as far as they can be reached."""
    responses = {"reference": reference, "analytics": analytics}
    statuses = {name: response.status for name, response in responses.items() if is_usable(response)}
    if not statuses:
        return not_checked("access", "neither API can be reached")
    if refusing := [name for name, status in statuses.items() if status == 401]:
        remedy = "compare it with the key from Trayport, or ask Trayport for another"
        return Check("access", "failure", f"{_refusal(refusing)} (401)", remedy)
    if not (accepting := [name for name, status in statuses.items() if status != 403]):
        finding = f"{_refusal(list(statuses))} (403): it is not entitled, or it is throttled"
        return Check("access", "failure", finding, "try again in some minutes; ask Trayport if it lasts")
    apis = "both APIs" if len(accepting) == 2 else f"the {accepting[0]} API"
    return Check("access", "ok", f"the key is accepted by {apis}")


def _refusal(apis: list[str]) -> str:
    return f"{'neither API accepts' if len(apis) == 2 else f'the {apis[0]} API does not accept'} the key"


def own_trades_request(now: pd.Timestamp) -> Request:
    """Return the request for own trades of the last minute of yesterday, which needs no intraday entitlement."""
    midnight = now.floor("D")
    return Request(PRIVATE_TRADES, window_params(midnight - _MINUTE, midnight), until=midnight)


def own_trades(response: AttemptResult) -> Check:
    """Check the entitlement to own trades."""
    return _entitlement("own trades", response)


def intraday(send: Send, now: pd.Timestamp, is_wanted: bool) -> Check:
    """Check the entitlement to the current day, by the activity of the last whole minute, and ``Config.intraday``."""
    end = now.floor("min")
    if end == end.floor("D"):
        return not_checked("intraday", "the day has just begun; try again in a minute")
    response = send(Request(ACTIVITY, window_params(end - _MINUTE, end), until=end))
    if response.status == 200:
        finding = "the key is entitled to today"
        if is_wanted:
            return Check("intraday", "ok", f"{finding}, and Config.intraday is True")
        return Check("intraday", "note", finding, "set Config.intraday=True (TRAYPORT_INTRADAY) to see it")
    if response.status not in (401, 403):
        return not_checked("intraday", _problem(response))
    finding = f"the key is not entitled to today{f' ({_AMBIGUOUS})' if response.status == 403 else ''}"
    if is_wanted:
        remedy = "remove intraday (TRAYPORT_INTRADAY), or ask Trayport for the Data Analytics Gateway"
        return Check("intraday", "warning", f"{finding}, but Config.intraday is True", remedy)
    return Check("intraday", "note", f"{finding}: data end at 00:00 UTC", "ask Trayport for the Data Analytics Gateway")


def order_books(send: Send, now: pd.Timestamp, markets: AttemptResult) -> Check:
    """Check the entitlement to order books, by one point of the book of a listed market at the end of yesterday."""
    try:
        contract = _listed_contract(send, markets)
    except (LookupError, DecodeError) as error:
        return not_checked("order books", error.problem if isinstance(error, DecodeError) else str(error))
    end = now.floor("D")
    params = (*window_params(end - _MINUTE, end), *interval_params(1, "minute"), *contract_params(contract))
    response = send(Request(TOP_OF_BOOK, params, until=end))
    if response.status == 404:
        return not_checked("order books", f"the key is not entitled to {contract.product.name}")
    return _entitlement("order books", response)


def _listed_contract(send: Send, response: AttemptResult) -> Contract:
    """Return a contract of a market that the key is entitled to.

    Raises ``LookupError`` if there is none, and ``DecodeError`` if a response cannot be read.
    """
    markets = _entries(response, list[ProductEntry], "markets")
    market = next((each for each in markets if each.name.startswith(_LIKELY_MARKET)), markets[0])
    response = send(Request(REFERENCE["market sequences"], ids=(market.id,)))
    sequences = _entries(response, list[SequenceEntry], f"sequences of {market.name}")
    sequence = next((each for each in sequences if each.name.endswith(_LIKELY_SEQUENCE)), sequences[0])
    response = send(Request(REFERENCE["sequence items"], (("count", "2"),), ids=(sequence.id,)))
    items = _entries(response, list[SequenceItem], f"items of {sequence.name}")
    # The first item may be in delivery; the next one is traded.
    return Contract(Market(market.id, market.name), sequence.id, items[-1].id)


def _entries(response: AttemptResult, kind: type[list[T]], label: str) -> list[T]:
    if response.error is not None:
        raise LookupError(f"the {label}: {_problem(response)}")
    entries = structure(parse_json(response.body, label), kind, label)
    if not entries:
        raise LookupError(f"the reference API lists no {label}")
    return entries


def _entitlement(name: str, response: AttemptResult) -> Check:
    if response.status == 200:
        return Check(name, "ok", "the key is entitled to them")
    if response.status == 403:
        return Check(name, "note", f"the key is not entitled to them ({_AMBIGUOUS})", "ask Trayport for them")
    return not_checked(name, _problem(response))


def _problem(response: AttemptResult) -> str:
    return response.error.problem if isinstance(response.error, TrayportError) else "no response"
