"""European power, gas and emissions trading history, one line per query.

>>> import trayport as tp
>>> frame = tp.trades("TTF Apr-24", "2024-02-05", "2024-02-06")
>>> frame.index.name
'timestamp'
"""

from __future__ import annotations

import importlib
import logging
from typing import TYPE_CHECKING, Any

from . import api
from ._version import __version__
from .api import *  # noqa: F403  # its `__all__` is the one list of flat functions
from .client import Client
from .config import Config
from .contracts import Contract, Front, Instrument, Market, Period, Specification
from .errors import (
    AmbiguousContract,
    APIError,
    BadRequest,
    CircuitOpen,
    ConfigError,
    ConnectionFailed,
    ContractError,
    DecodeError,
    Failure,
    Interrupted,
    IntradayNotAllowed,
    NotAllowed,
    NotFound,
    PartialDataError,
    QueryError,
    RateLimited,
    ServerError,
    TimedOut,
    TransportError,
    TrayportError,
    TrayportWarning,
    UnknownContract,
)
from .files import save, to_arrow, to_polars
from .hooks import Hook, RequestEvent
from .planner import Plan
from .status import Status

if TYPE_CHECKING:
    from . import sandbox, testing
    from .diagnosis import Check, Diagnosis

__all__ = [
    "__version__",
    # files and other tables
    "save",
    "to_arrow",
    "to_polars",
    # the client and its settings
    "Client",
    "Config",
    "Hook",
    "RequestEvent",
    "Status",
    "Diagnosis",
    "Check",
    "sandbox",
    "testing",
    # values
    "Contract",
    "Front",
    "Instrument",
    "Market",
    "Period",
    "Plan",
    "Specification",
    # errors
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
__all__ += api.__all__

logging.getLogger(__name__).addHandler(logging.NullHandler())

# Public names of rooms that take long to import: they are imported at their first use.
_LATER = {"Check": "diagnosis", "Diagnosis": "diagnosis", "sandbox": "", "testing": ""}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    room = importlib.import_module(f".{_LATER[name] or name}", __name__)
    return getattr(room, name) if _LATER[name] else room


def __dir__() -> list[str]:
    return sorted(__all__)
