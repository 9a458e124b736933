"""Every error that this package raises, as one tree.

::

    TrayportError                          .problem .remedy .transient .request_id
    ├─ ConfigError (ValueError)            no key, unreadable settings  .settings
    ├─ QueryError (ValueError)             refused before anything was sent
    ├─ ContractError (ValueError)          a contract that cannot be, or cannot be traded so
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
    │  ├─ RateLimited                      429, and 403 while waiting may clear it: transient  .retry_after
    │  └─ ServerError                      5xx: transient
    ├─ DecodeError                         .endpoint .path .detail
    └─ PartialDataError                    .frame .failures .resume()

    Interrupted (KeyboardInterrupt)        .frame .failures .resume() .problem .remedy; not a TrayportError

    TrayportWarning (UserWarning)          .problem .remedy; nothing failed, but something needs attention

Every error is a value: its facts are fields, it pickles, and it never holds the key or a header. Its text is
"<problem>; <remedy>": ``problem`` is what is wrong, and ``remedy`` is what to do about it, or None. ``transient`` is
True if the same request may succeed later. ``request_id`` is the ``X-Request-ID`` of the last attempt, as in logs and
``RequestEvent.id`` (of a ``DecodeError`` without the number of the attempt), or "" if nothing was sent.
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
        """What is wrong, without the remedy."""
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
    """No contract, product or sequence has this name; ``near`` holds the nearest names."""

    name: str
    near: tuple[str, ...] = ()
    remedy: str | None = field(kw_only=True, repr=False)

    @remedy.default
    def _remedy(self) -> str:
        return f"the nearest are {_listed(self.near)}" if self.near else "trayport.search finds products by half a name"

    @property
    def problem(self) -> str:
        """The name that was not found."""
        return f"nothing is named {self.name!r}"


@define
class AmbiguousContract(ContractError):
    """The name has several meanings; ``candidates`` holds an exact name for each, nearest first."""

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
    """The request did not reach the API, or its response did not arrive whole."""

    endpoint: str
    attempts: int
    detail: str = ""
    request_id: str = ""
    remedy: str | None = field(default=None, kw_only=True, repr=False)
    _failure: ClassVar[str] = "no answer"

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
    _failure: ClassVar[str] = "the server did not answer in time"


@define
class CircuitOpen(TransportError):
    """The API kept failing, so that nothing is sent to it for ``retry_in`` seconds."""

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
        last = f", at last with {self.detail!r}" if self.detail else ""
        return f"{self.endpoint}: the API failed several times in a row{last}, so it is left alone for a while"


@define
class APIError(TrayportError):
    """The API responded with a status other than 200."""

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

    remedy: str | None = field(
        default="check the key, and with Trayport what it may see",
        kw_only=True,
        repr=False,
    )


@define
class IntradayNotAllowed(NotAllowed):
    """401 for a request that reached into the current UTC day, which needs Trayport's gateway."""

    remedy: str | None = field(
        default=(
            "the request reached into today, which needs intraday rights: end it at 00:00 UTC of today, "
            "leave `end` out with Config.intraday=False, or ask Trayport for the Data Analytics Gateway"
        ),
        kw_only=True,
        repr=False,
    )


@define
class NotFound(APIError):
    """404: the path or id does not exist, or the key is not entitled to the product."""

    remedy: str | None = field(
        default=(
            "there is no such id for this key: a market can be closed to a key that may see its instruments, and "
            "Client.refresh() forgets cached reference data"
        ),
        kw_only=True,
        repr=False,
    )


@define
class RateLimited(APIError):
    """429, or a 403 that waiting may clear: the key's rate limit is used up."""

    retry_after: float | None = None
    remedy: str | None = field(
        default="another program may be using the same key: lower Config.per_second for both",
        kw_only=True,
        repr=False,
    )
    transient: ClassVar[bool] = True


@define
class ServerError(APIError):
    """5xx: the server failed."""

    transient: ClassVar[bool] = True


@define
class DecodeError(TrayportError):
    """The response is not as the API's guide describes it; ``path`` is the place, such as ``$[3].price``."""

    endpoint: str
    path: str
    detail: str
    request_id: str = ""
    remedy: str | None = field(default=None, kw_only=True, repr=False)

    @property
    def problem(self) -> str:
        """The endpoint, the place and the detail."""
        return f"{self.endpoint}: cannot read the answer at {self.path}: {self.detail}"


@frozen(repr=False)
class Failure:
    """One planned request that failed for good: its window, its contracts, and the error that ended it."""

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
    remedy: str | None = field(default=".resume() asks for the rest", kw_only=True, repr=False)

    def resume(self) -> Any:
        """Request the missing pieces, and only those.

        Returns the whole frame, equal to that of an undisturbed call; of a stream, an iterator that goes on from the
        piece that failed. May be called repeatedly.
        """
        return self._rest()

    def _kept(self) -> str:
        return ", what arrived in .frame" if len(self.frame) else ""


@define
class PartialDataError(_Partial, TrayportError):
    """Some of the planned requests failed for good; the rows of the others are in ``frame``.

    ``failures`` holds the window, the contracts and the error of each missing piece, and ``resume()`` requests those
    alone. ``frame`` has the shape of a whole result, without the missing rows.
    """

    @property
    def problem(self) -> str:
        """The number of failed requests and the first failure."""
        count = "1 request" if len(self.failures) == 1 else f"{len(self.failures)} requests"
        return (
            f"{count} failed for good, the first for {self.failures[0]}. All that failed is in .failures{self._kept()}"
        )


@define
class Interrupted(_Partial, KeyboardInterrupt):
    """Ctrl-C during a query: ``frame`` holds what had arrived, ``failures`` what had not."""

    remedy: str | None = field(default=".resume() asks for them", kw_only=True, repr=False)

    @property
    def problem(self) -> str:
        """The number of missing requests."""
        return (
            f"interrupted with {len(self.failures)} of the planned requests missing. "
            f"They are in .failures{self._kept()}"
        )
