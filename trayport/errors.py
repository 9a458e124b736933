"""Errors: every error that this package raises, as one tree.

::

    TrayportError                          .problem .remedy .transient .request_id
    ├─ ConfigError (ValueError)            a missing key, an unreadable setting  .settings
    ├─ QueryError (ValueError)             a query that is not valid; nothing was sent
    ├─ ContractError (ValueError)          a contract that does not exist or cannot be used so; nothing was sent
    │  ├─ UnknownContract                  .name .near
    │  └─ AmbiguousContract                .name .candidates
    ├─ TransportError                      .endpoint .attempts .detail
    │  ├─ ConnectionFailed                 transient
    │  ├─ TimedOut                         transient
    │  └─ CircuitOpen                      transient  .retry_in
    ├─ APIError                            .endpoint .status .detail .reason
    │  ├─ BadRequest                       400
    │  ├─ NotAllowed                       401, 403
    │  │  └─ IntradayNotAllowed            401 for a request that reached into today
    │  ├─ NotFound                         404
    │  ├─ RateLimited                      429, or a 403 that waiting may clear; transient  .retry_after
    │  └─ ServerError                      5xx; transient
    ├─ DecodeError                         .endpoint .path .detail
    └─ PartialDataError                    .frame .failures .resume()

    Interrupted (KeyboardInterrupt)        .frame .failures .resume() .problem .remedy; not a TrayportError

    TrayportWarning (UserWarning)          .problem .remedy; nothing failed, but something needs attention

Every error is a value: its facts are fields, it pickles, and it never holds the key or a header. Its text is
"<problem>; <remedy>", where ``remedy`` is the action that mends the problem, or None. ``transient`` is True if the same
request may succeed later. ``request_id`` is the ``X-Request-ID`` of the last attempt, as in logs and
``RequestEvent.id`` (for a ``DecodeError`` without the number of the attempt), or "" if nothing was sent.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
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


class _WithRemedy(BaseException):
    """An exception whose text is its problem and, if it has one, its remedy."""

    remedy: str | None = None

    def __init__(self, message: str = "", remedy: str | None = None) -> None:
        super().__init__(message)
        self.remedy = remedy

    @property
    def problem(self) -> str:
        """The text without the remedy."""
        return str(self.args[0]) if self.args else ""

    def __str__(self) -> str:
        return f"{self.problem}; {self.remedy}" if self.remedy else self.problem

    def __reduce__(self) -> tuple[Any, ...]:
        kind: type = type(self)
        _, args, *state = tuple[Any, ...](super().__reduce__())
        if not has(kind):
            return kind, args, *state
        # The fields and not ``args``, since ``request_id`` is set after the error was made.
        return partial(kind, **{each.alias: getattr(self, each.name) for each in fields(kind)}), (), *state


class TrayportWarning(_WithRemedy, UserWarning):
    """A warning: nothing failed, but something is not as it should be.

    Parameters
    ----------
    message : str
        The problem.
    remedy : str, optional
        The action that mends it.
    """


class TrayportError(_WithRemedy, Exception):
    """Base class of every error that this package raises.

    Parameters
    ----------
    message : str
        The problem.
    remedy : str, optional
        The action that mends it.
    """

    transient: ClassVar[bool] = False
    """True if the same request may succeed later."""
    request_id: str = ""
    """The ``X-Request-ID`` of the last attempt; "" if nothing was sent."""

    def __str__(self) -> str:
        return super().__str__() + (f" (X-Request-ID {self.request_id})" if self.request_id else "")


class ConfigError(TrayportError, ValueError):
    """A setting is missing, unreadable or out of its bounds.

    Parameters
    ----------
    message : str
        The problem.
    remedy : str, optional
        The action that mends it.
    settings : tuple of str, default ()
        Names of the settings of ``Config`` that the error is about.
    """

    def __init__(self, message: str = "", remedy: str | None = None, *, settings: tuple[str, ...] = ()) -> None:
        super().__init__(message, remedy)
        self.settings = settings


class QueryError(TrayportError, ValueError):
    """The query is not valid; nothing was sent."""


class ContractError(TrayportError, ValueError):
    """The contract does not exist or cannot be used in this way; nothing was sent."""


@define
class UnknownContract(ContractError):
    """No contract, product or sequence has this name.

    Attributes
    ----------
    name : str
        The name that was not found.
    near : tuple of str
        Names that resemble it, nearest first.
    """

    name: str
    near: tuple[str, ...] = ()
    remedy: str | None = field(kw_only=True, repr=False)

    @remedy.default
    def _remedy(self) -> str:
        if self.near:
            return f"the nearest are {_listed(self.near)}"
        return "find the name with trayport.search, which takes a part of it"

    @property
    def problem(self) -> str:
        """The name that was not found."""
        return f"nothing is named {self.name!r}"


@define
class AmbiguousContract(ContractError):
    """The name has several meanings.

    Attributes
    ----------
    name : str
        The ambiguous name.
    candidates : tuple of str
        An exact name for each meaning, nearest first.
    """

    name: str
    candidates: tuple[str, ...]
    remedy: str | None = field(default="write one of them", kw_only=True, repr=False)

    @property
    def problem(self) -> str:
        """The name and the first eight candidates."""
        more = len(self.candidates) - 8
        rest = f" and {more} more, which trayport.search lists" if more > 0 else ""
        return f"{self.name!r} may mean {_listed(self.candidates[:8])}{rest}"


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(repr(name) for name in names)


@define
class TransportError(TrayportError):
    """The request did not reach the API, or its response did not arrive whole.

    Attributes
    ----------
    endpoint : str
        Name of the endpoint, such as ``"trades"``.
    attempts : int
        Number of attempts; 0 if nothing was sent.
    detail : str
        The reason, on one line.
    """

    endpoint: str
    attempts: int
    detail: str = ""
    request_id: str = ""
    remedy: str | None = field(default=None, kw_only=True, repr=False)
    _failure: ClassVar[str] = "no response"

    @property
    def problem(self) -> str:
        """The endpoint, the number of attempts and the detail."""
        tries = {0: "", 1: " after 1 attempt"}.get(self.attempts, f" after {self.attempts} attempts")
        return f"{self.endpoint}: {self._failure}{tries}{self.detail and ': ' + self.detail}"


@define
class ConnectionFailed(TransportError):
    """The connection could not be opened, or broke before the whole response had arrived."""

    transient: ClassVar[bool] = True
    _failure: ClassVar[str] = "the connection failed"


@define
class TimedOut(TransportError):
    """The server took longer than ``Config.timeout`` allows, or the query longer than ``Config.deadline``."""

    transient: ClassVar[bool] = True
    _failure: ClassVar[str] = "the server did not respond in time"


@define
class CircuitOpen(TransportError):
    """The API failed several times in a row, so that nothing is sent to it for a while.

    Attributes
    ----------
    retry_in : float
        Seconds until requests are sent to it again.
    """

    retry_in: float = 0.0
    remedy: str | None = field(kw_only=True, repr=False)
    transient: ClassVar[bool] = True

    @remedy.default
    def _remedy(self) -> str:
        seconds = max(1, round(self.retry_in))
        return f"ask again in {seconds} second{'s' * (seconds > 1)}"

    @property
    def problem(self) -> str:
        """The endpoint and the last failure."""
        last = f", the last time with {self.detail!r}" if self.detail else ""
        return f"{self.endpoint}: the API failed several times in a row{last}, so nothing is sent to it for a while"


@define
class APIError(TrayportError):
    """The API responded with a status other than 200.

    Attributes
    ----------
    endpoint : str
        Name of the endpoint, such as ``"trades"``.
    status : int
        The HTTP status.
    detail : str
        The API's own words, at most 300 letters.
    """

    endpoint: str
    status: int
    detail: str = ""
    request_id: str = ""
    remedy: str | None = field(default=None, kw_only=True, repr=False)

    @property
    def reason(self) -> str:
        """The status and the detail, such as ``"503 Service Unavailable: busy"``."""
        try:
            phrase = f"{self.status} {HTTPStatus(self.status).phrase}"
        except ValueError:
            phrase = str(self.status)
        return phrase if self.detail.lower() in phrase.lower() else f"{phrase}: {self.detail}"

    @property
    def problem(self) -> str:
        """The endpoint, the status and the detail."""
        return f"{self.endpoint}: {self.reason}"


@define
class BadRequest(APIError):
    """400: the API refused a parameter, which ``detail`` names."""


@define
class NotAllowed(APIError):
    """401 or 403: the key is not accepted, or not entitled to this."""

    remedy: str | None = field(default="check the key, and ask Trayport for its entitlements", kw_only=True, repr=False)


@define
class IntradayNotAllowed(NotAllowed):
    """401 for a request that reached into the current UTC day, which needs Trayport's gateway."""

    remedy: str | None = field(
        default=(
            "end it at 00:00 UTC of today, leave `end` out with Config.intraday=False, or ask Trayport for the Data "
            "Analytics Gateway"
        ),
        kw_only=True,
        repr=False,
    )

    @property
    def problem(self) -> str:
        """The endpoint, the status, the detail and the missing entitlement."""
        return f"{self.endpoint}: {self.reason}: the request reached into today, which needs the intraday entitlement"


@define
class NotFound(APIError):
    """404: the path or id does not exist, or the key is not entitled to the product."""

    remedy: str | None = field(
        default=(
            "check the id, and ask Trayport for the key's entitlements: a market may need one that its instruments do "
            "not need; Client.refresh() renews cached reference data"
        ),
        kw_only=True,
        repr=False,
    )


@define
class RateLimited(APIError):
    """429, or a 403 that waiting may clear: the key's rate limit is used up.

    Attributes
    ----------
    retry_after : float or None
        Seconds to wait, if the API named them.
    """

    retry_after: float | None = None
    remedy: str | None = field(
        default="if another program uses the same key, lower Config.per_second for both", kw_only=True, repr=False
    )
    transient: ClassVar[bool] = True


@define
class ServerError(APIError):
    """5xx: the server failed."""

    transient: ClassVar[bool] = True


@define
class DecodeError(TrayportError):
    """The response is not as the API's guide describes it.

    Attributes
    ----------
    endpoint : str
        Name of the endpoint, such as ``"trades"``.
    path : str
        The place in the response, such as ``$[3].price``.
    detail : str
        The reason.
    """

    endpoint: str
    path: str
    detail: str
    request_id: str = ""
    remedy: str | None = field(default=None, kw_only=True, repr=False)

    @property
    def problem(self) -> str:
        """The endpoint, the place and the detail."""
        return f"{self.endpoint}: cannot read the response at {self.path}: {self.detail}"


@frozen(repr=False)
class Failure:
    """One planned request that failed for good.

    Attributes
    ----------
    start, end : Timestamp
        The half-open window, in UTC.
    contracts : tuple of str
        Names of the contracts.
    error : Exception
        The error that ended it.
    """

    start: pd.Timestamp
    end: pd.Timestamp
    contracts: tuple[str, ...]
    error: Exception

    def __str__(self) -> str:
        more = f" and {len(self.contracts) - 1} more" if len(self.contracts) > 1 else ""
        return f"{self.contracts[0]}{more}, {self.start.isoformat()} to {self.end.isoformat()}: {self.error}"

    def __repr__(self) -> str:
        return f"<Failure {self}>"


@define(slots=False)  # slots of two bases cannot be laid out beside an exception's
class _Partial(_WithRemedy):
    """The part of a query's result that arrived, and a way to request the rest."""

    frame: pd.DataFrame = field(repr=lambda frame: f"<{len(frame)} rows>")
    failures: tuple[Failure, ...] = field(repr=lambda failures: f"<{len(failures)}>")
    _rest: Callable[[], Any] = field(repr=False)
    remedy: str | None = field(kw_only=True, repr=False)

    @remedy.default
    def _remedy(self) -> str:
        rows = " and .frame holds the rows that arrived" if len(self.frame) else ""
        return f"call .resume() for the missing pieces; .failures lists them{rows}"

    def resume(self) -> Any:
        """Request the missing pieces, and only those; may be called repeatedly.

        Returns
        -------
        DataFrame or iterator of DataFrame
            The whole frame, equal to that of an undisturbed query. For a stream, an iterator from the piece that
            failed on.

        Raises
        ------
        PartialDataError
            Some pieces failed again; ``frame`` then has those that arrived this time, too.
        """
        return self._rest()


@define
class PartialDataError(_Partial, TrayportError):
    """Some of the planned requests failed for good; the others are a partial result.

    Attributes
    ----------
    frame : DataFrame
        The partial result, in the shape of a whole one.
    failures : tuple of Failure
        The missing pieces, each with its error.
    """

    @property
    def problem(self) -> str:
        """The number of failed requests and the first failure."""
        count = "1 request" if len(self.failures) == 1 else f"{len(self.failures)} requests"
        return f"{count} failed for good, the first for {self.failures[0]}"


@define
class Interrupted(_Partial, KeyboardInterrupt):
    """Ctrl-C during a query, which leaves a partial result.

    Attributes
    ----------
    frame : DataFrame
        The partial result, in the shape of a whole one.
    failures : tuple of Failure
        The missing pieces.
    """

    @property
    def problem(self) -> str:
        """The number of missing requests."""
        return f"interrupted with {len(self.failures)} of the planned requests missing"
