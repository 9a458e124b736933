"""Every error that this package raises, as one tree.

::

    TrayportError                          .transient: may the same request succeed later?
    ├─ ConfigError (ValueError)            no key, unreadable settings
    ├─ QueryError (ValueError)             refused before anything was sent
    ├─ ContractError (ValueError)          a contract that cannot be, or cannot be traded so
    │  ├─ UnknownContract                  .name .near
    │  └─ AmbiguousContract                .name .candidates
    ├─ TransportError                      .endpoint .attempts .request_id
    │  ├─ ConnectionFailed                 transient  .detail
    │  ├─ TimedOut                         transient  .detail
    │  └─ CircuitOpen                      .retry_in
    ├─ APIError                            .endpoint .status .detail .request_id
    │  ├─ BadRequest                       400
    │  ├─ NotAllowed                       401, 403
    │  │  └─ IntradayNotAllowed            401 for a request that reached into today
    │  ├─ NotFound                         404
    │  ├─ RateLimited                      429, and 403 while waiting may clear it: transient  .retry_after
    │  └─ ServerError                      5xx: transient
    ├─ DecodeError                         .endpoint .path .request_id
    └─ PartialDataError                    .frame .failures .resume()

    Interrupted (KeyboardInterrupt)        .frame .failures .resume(); not a TrayportError

    TrayportWarning (UserWarning)          nothing failed, but somebody should know

Every error is a value: its facts are fields, it pickles, and it never holds the key or a header. ``request_id`` is
the ``X-Request-ID`` of the last attempt, which logs and ``RequestEvent.id`` have, too (of a ``DecodeError`` without
the number of the attempt); "" where nothing was sent.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar

from attrs import define, field, fields, frozen, has

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "APIError",
    "AmbiguousContract",
    "BadRequest",
    "CircuitOpen",
    "ConfigError",
    "ConnectionFailed",
    "ContractError",
    "DecodeError",
    "Failure",
    "Interrupted",
    "IntradayNotAllowed",
    "NotAllowed",
    "NotFound",
    "PartialDataError",
    "QueryError",
    "RateLimited",
    "ServerError",
    "TimedOut",
    "TransportError",
    "TrayportError",
    "TrayportWarning",
    "UnknownContract",
]


class TrayportWarning(UserWarning):
    """Nothing failed, but something is not as it should be; the text says what and what to do."""


class TrayportError(Exception):
    """The base of every error that this package raises."""

    transient: ClassVar[bool] = False
    """May the same request succeed later?"""

    def __reduce__(self) -> tuple[Any, ...]:
        kind: type = type(self)
        _, args, *state = tuple[Any, ...](super().__reduce__())
        if has(kind):  # as it is now: which request it was about is known later than what went wrong
            args = tuple(getattr(self, attribute.name) for attribute in fields(kind))
        return kind, args, *state


class ConfigError(TrayportError, ValueError):
    """A setting is missing, unreadable or out of its bounds."""


class QueryError(TrayportError, ValueError):
    """The question cannot be asked as it stands; nothing was sent."""


class ContractError(TrayportError, ValueError):
    """The contract cannot be, or cannot be traded in this way; nothing was sent."""


@define
class UnknownContract(ContractError):
    """No contract, product or sequence goes by this name; ``near`` holds what may be meant."""

    name: str
    near: tuple[str, ...] = ()

    def __str__(self) -> str:
        hint = f"the nearest are {_listed(self.near)}" if self.near else "trayport.search finds products by half a name"
        return f"nothing is named {self.name!r}; {hint}"


@define
class AmbiguousContract(ContractError):
    """The name fits more than one; ``candidates`` holds them, nearest first, each spelled so that it is exact."""

    name: str
    candidates: tuple[str, ...]

    def __str__(self) -> str:
        more = len(self.candidates) - 8
        rest = f" and {more} more, which trayport.search lists" if more > 0 else ""
        return f"{self.name!r} may mean {_listed(self.candidates[:8])}{rest}; write one of them"


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(repr(name) for name in names)


def _asked_as(request_id: str) -> str:
    return f" (X-Request-ID {request_id})" if request_id else ""


@define
class TransportError(TrayportError):
    """The request did not reach the API, or its answer did not come back whole."""

    endpoint: str
    attempts: int
    detail: str = ""
    request_id: str = ""

    def __str__(self) -> str:
        tries = {0: "", 1: " after 1 attempt"}.get(self.attempts, f" after {self.attempts} attempts")
        return f"{self.endpoint}: {self._what()}{tries}{self.detail and ': ' + self.detail}{_asked_as(self.request_id)}"

    def _what(self) -> str:
        return "no answer"


@define
class ConnectionFailed(TransportError):
    """No connection, or one that broke before the whole answer had come."""

    transient: ClassVar[bool] = True

    def _what(self) -> str:
        return "the connection failed"


@define
class TimedOut(TransportError):
    """The server took longer than ``Config.timeout`` allows, or the question longer than ``Config.deadline``."""

    transient: ClassVar[bool] = True

    def _what(self) -> str:
        return "the server did not answer in time"


@define
class CircuitOpen(TransportError):
    """The API kept failing, so nothing is sent to it for ``retry_in`` seconds."""

    retry_in: float = 0.0
    transient: ClassVar[bool] = True

    def __str__(self) -> str:
        last = f", at last with {self.detail!r}" if self.detail else ""
        seconds = max(1, round(self.retry_in))
        return (
            f"{self.endpoint}: the API failed several times in a row{last}, so it is left alone for a while; "
            f"ask again in {seconds} second{'s' * (seconds > 1)}{_asked_as(self.request_id)}"
        )


@define
class APIError(TrayportError):
    """The API answered, with a status other than 200."""

    endpoint: str
    status: int
    detail: str = ""
    request_id: str = ""
    advice: ClassVar[str] = ""

    def __str__(self) -> str:
        try:
            phrase = f"{self.status} {HTTPStatus(self.status).phrase}"
        except ValueError:
            phrase = str(self.status)
        more = "" if self.detail.lower() in phrase.lower() else f": {self.detail}"
        advice = f". {self.advice}" if self.advice else ""
        return f"{self.endpoint}: {phrase}{more}{advice}{_asked_as(self.request_id)}"


@define
class BadRequest(APIError):
    """400: the API refused a parameter; ``detail`` says which."""


@define
class NotAllowed(APIError):
    """401 or 403: the key is not accepted, or has no right to this."""

    advice: ClassVar[str] = "Check the key, and with Trayport what it may see"


@define
class IntradayNotAllowed(NotAllowed):
    """401 for a request that reached into the current UTC day, which needs Trayport's gateway."""

    advice: ClassVar[str] = (
        "The request reached into today, which needs intraday rights: end it at 00:00 UTC of today, "
        "leave `end` out with Config.intraday=False, or ask Trayport for the Data Analytics Gateway"
    )


@define
class NotFound(APIError):
    """404: no such path or id, or a product outside what the key may see."""

    advice: ClassVar[str] = (
        "There is no such id for this key: a market can be closed to a key that may see its instruments, and "
        "Client.refresh() forgets cached reference data"
    )


@define
class RateLimited(APIError):
    """429, or 403 while waiting may clear it: more was asked than the key may ask."""

    retry_after: float | None = None
    transient: ClassVar[bool] = True
    advice: ClassVar[str] = "Another program may be using the same key: lower Config.per_second for both"


@define
class ServerError(APIError):
    """5xx: the fault is the server's."""

    transient: ClassVar[bool] = True


@define
class DecodeError(TrayportError):
    """The answer is not what the API's guide promises; ``path`` points at the place, as in ``$[3].price``."""

    endpoint: str
    path: str
    detail: str
    request_id: str = ""

    def __str__(self) -> str:
        return f"{self.endpoint}: cannot read the answer at {self.path}: {self.detail}{_asked_as(self.request_id)}"


@frozen(repr=False)
class Failure:
    """One planned request that failed for good: its window, its contracts, and the error that ended it."""

    start: str
    end: str
    contracts: tuple[str, ...]
    error: Exception

    def __str__(self) -> str:
        more = f" and {len(self.contracts) - 1} more" if len(self.contracts) > 1 else ""
        return f"{self.contracts[0]}{more}, {self.start} to {self.end}: {self.error}"

    def __repr__(self) -> str:
        return f"<Failure {self}>"


@define(slots=False)  # slots of two bases cannot be laid out beside an exception's
class _Partial:
    """What arrived of a question, and how to ask for the rest."""

    frame: pd.DataFrame = field(repr=lambda frame: f"<{len(frame)} rows>")
    failures: tuple[Failure, ...] = field(repr=lambda failures: f"<{len(failures)}>")
    _rest: Callable[[], Any] = field(repr=False)

    def resume(self) -> Any:
        """Ask for what is missing, and only for that.

        Returns the whole frame, the one that an undisturbed call returns; of a stream, an iterator
        that goes on from the piece that failed. May be called again and again.
        """
        return self._rest()

    def _kept(self) -> str:
        return ", what arrived in .frame" if len(self.frame) else ""


@define
class PartialDataError(_Partial, TrayportError):
    """Some of the planned requests failed for good; the others are in ``frame``.

    ``failures`` names each missing window with its contracts and its error, and ``resume()`` asks for those
    alone. ``frame`` is shaped like any answer, without what is missing.
    """

    def __str__(self) -> str:
        first = self.failures[0]
        count = "1 request" if len(self.failures) == 1 else f"{len(self.failures)} requests"
        return (
            f"{count} failed for good, the first for {first}. "
            f"All that failed is in .failures{self._kept()}; .resume() asks for the rest"
        )


@define
class Interrupted(_Partial, KeyboardInterrupt):
    """Ctrl-C, with what had arrived: ``frame``, ``failures`` (what had not) and ``resume()``."""

    def __str__(self) -> str:
        return (
            f"interrupted with {len(self.failures)} of the planned requests missing. "
            f"They are in .failures{self._kept()}; .resume() asks for them"
        )
