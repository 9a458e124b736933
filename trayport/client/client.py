"""The client: resolves names, plans, sends, decodes, joins and hands over; with its faces ``.plan`` and ``.stream``."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import pandas as pd
from attrs import define, evolve

from .._parallel import CancelToken, deadline_after, run_in_thread
from .._time import Clock, utc_now
from ..config import Config
from ..contracts import Front
from ..endpoints import Request
from ..errors import ConfigError, QueryError
from ..hooks import Hook
from ..planner import Plan, plan
from ..queries import Queries, Query, QueryContext
from ..status import Status
from .reference import References
from .run import ClientLink, Run

if TYPE_CHECKING:
    from ..diagnosis import Diagnosis
    from ..refdata import Catalogue
    from ..transport import Session

__all__ = ["Client", "Plans", "Streams"]


@define(eq=False)
class _Engine:
    """What a client builds when it is first needed, and only in the process that needs it."""

    config: Config
    catalogue: Catalogue
    session: Session | None = None


class Client(Queries[pd.DataFrame], References):
    """Asks the API: every question answers with a DataFrame.

    A client opens nothing until it is first asked, may be shared by threads, and works on in a forked child.
    ``with Client() as client:`` closes its connections at the end, as ``close()`` does. Pickled, it takes its
    settings along but never the key, which is looked up again where it arrives.

    Parameters
    ----------
    api_key
        The key; unless given, from the environment or the settings file (see ``Config.load``).
    config
        Every other setting; unless given, ``Config.load()``.
    hooks
        Observers, called with a ``RequestEvent`` after each attempt.
    clock
        What tells the present moment; for tests of "today".

    Attributes
    ----------
    plan
        The same questions, answered with the ``Plan`` of requests that they would make.
    stream
        The same questions, answered piece by piece with an iterator of DataFrames, of about 65,000 rows at most.
    """

    def __init__(
        self,
        api_key: str | None = None,
        *,
        config: Config | None = None,
        hooks: Sequence[Hook] = (),
        clock: Clock = utc_now,
    ) -> None:
        self.hooks = checked_hooks(hooks)
        self._link = ClientLink(self)
        self.plan = Plans(self)
        self.stream = Streams(self)
        self._api_key = None if api_key is None else Config(api_key).api_key
        if config is not None and not isinstance(config, Config):
            raise ConfigError(f"config={config!r} is no Config: write Config(...) or Config.load(...)")
        self._config = config
        self._clock = clock
        self._engine: _Engine | None = None
        self._closed = False
        self._lock = threading.Lock()
        _clients.add(self)

    # --- questions: they are signed in `queries` and in `reference` ----------------------------------------------

    def _context(self) -> QueryContext:
        config = self.config
        return QueryContext(config.tz, self._clock(), config.intraday)

    def _ask(self, query: Query) -> pd.DataFrame:
        with deadline_after(self.config.deadline):
            return self._link.run(self._planned(query))

    def _planned(self, query: Query) -> Plan:
        """Return the plan of a query: its names are looked up, and nothing else is sent."""
        at = query.window.start.date()
        if isinstance(query.contracts, Front):
            front = self.catalogue.front(query.contracts, at)
            made = plan(evolve(query, contracts=front), front, [query.window], self.config.rates)
        else:
            contracts = self.catalogue.contracts(query.contracts, at)
            csv = self.config.wire_format == "csv"
            known = evolve(query, contracts=tuple(contracts))
            made = plan(known, contracts, [query.window], self.config.rates, csv=csv)
        return evolve(made, runner=self._link)

    # --- what it is made of --------------------------------------------------------------------------------------

    @property
    def config(self) -> Config:
        """The settings in use; the key in them prints as ``'***'``."""
        return self._running().config

    @property
    def clock(self) -> Clock:
        """What tells the present moment."""
        return self._clock

    @property
    def catalogue(self) -> Catalogue:
        """What looks names up."""
        return self._running().catalogue

    @property
    def session(self) -> Session:
        """What sends, made at the first request: until then no key is needed."""
        from ..transport import Session

        while True:
            engine = self._running()
            with self._lock:
                if engine is not self._engine:
                    continue  # closed or configured meanwhile
                if engine.session is None:
                    engine.session = Session(engine.config, self.hooks, now=self._clock)
                return engine.session

    def status(self) -> Status:
        """How things stand: the limit of the key, whoever uses it, the breakers, the connections, and what was asked.

        Nothing is sent. Raises ``ConfigError`` without a key, since limits are a key's.

        >>> import trayport as tp
        >>> tp.status().breakers["analytics"]
        'closed'
        """
        return self.session.status()

    def doctor(self) -> Diagnosis:
        """What keeps data from arriving: each thing that has to be right is looked at once.

        Settings, key, folders, certificates and proxy; both APIs, the clock, and whether the key is accepted; and what
        it may see. Makes six requests at most, over connections of their own; each counts for the key's limit, and
        none is made again. Takes a second or two, and no more than half a minute where nothing answers.

        Returns
        -------
        Diagnosis, which prints a line for each ``Check``: its verdict, what was found, and what to do about it. The key
        is in none of them.

        Raises nothing for what is broken: that is what it tells.

        >>> import trayport as tp
        >>> tp.doctor().worst
        'note'
        """
        from ..diagnosis import Diagnosis, examine  # only where something is wrong

        return Diagnosis(tuple(examine(self)))

    def _look_up(self, request: Request, stop: CancelToken | None, request_id: str) -> bytes:
        session = self.session
        session.raise_if_open(request)
        if stop is not None:  # asked by a thread of ours
            return session.send(request, stop, request_id=request_id)
        with deadline_after(session.config.deadline):
            return run_in_thread(lambda stop: session.send(request, stop, request_id=request_id))

    # --- its life ------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Let go of connections; a closed client refuses questions."""
        with self._lock:
            self._closed = True
            self._let_go()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        engine = self._engine
        return f"Client({engine.config if engine else '...'})"

    def __reduce__(self) -> tuple[Any, ...]:
        engine = self._engine
        return _revived, (type(self), engine.config if engine else self._config)

    def __copy__(self) -> Client:
        return self  # one set of connections; only what leaves the process goes without the key

    def __deepcopy__(self, _: object) -> Client:
        return self

    def _running(self) -> _Engine:
        engine = self._engine
        if engine is not None:
            return engine
        with self._lock:
            if self._closed:
                raise QueryError("this client is closed; make a new one")
            if self._engine is None:
                self._engine = self._build()
            return self._engine

    def _build(self) -> _Engine:
        from ..refdata import Cache, Catalogue  # at the first question, not at import

        config = self._config or Config.load()
        if self._api_key is not None:
            config = evolve(config, api_key=self._api_key)
        # What one key may see is not what another may, so they share nothing.
        place = f"{config.reference_url} {config.api_key.digest if config.api_key else ''}"
        catalogue = Catalogue(self._look_up, Cache(config.cache_dir), place, config.aliases, config.workers)
        return _Engine(config, catalogue)

    def _let_go(self) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.catalogue.close()
            if engine.session is not None:
                engine.session.close()

    def _begin_anew(self) -> None:
        """In a forked child: the parent's sockets are not its own, and a lock may have been held at the fork."""
        self._lock = threading.Lock()
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.catalogue.close()


_clients: WeakSet[Client] = WeakSet()


def _begin_all_anew() -> None:
    for client in list(_clients):
        client._begin_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_all_anew)


def checked_hooks(hooks: Sequence[Hook]) -> tuple[Hook, ...]:
    """Return ``hooks`` as a tuple, or raise ``ConfigError`` if they are not functions."""
    if not isinstance(hooks, Iterable) or not all(map(callable, found := tuple(hooks))):
        raise ConfigError(f"hooks={hooks!r} must be a list of functions, such as [print]")
    return found


def _revived(kind: type[Client], config: Config | None) -> Client:
    return kind(config=config)


class Plans(Queries[Plan]):
    """The questions, answered with what they would cost: nothing but reference look-ups is sent."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def _context(self) -> QueryContext:
        return self._client._context()

    def _ask(self, query: Query) -> Plan:
        return self._client._planned(query)


class Streams(Queries[Iterator[pd.DataFrame]]):
    """The questions, answered a piece at a time, in bounded memory.

    A piece is one planned request's rows: window by window, and within each by group of contracts, as ``plan`` shows
    them. One without rows comes too; one of more than about 65,000 comes in several frames, cut between two times, or
    in one if the server sent it in no order of time. What waits to be taken is packed, up to 16 MB of it in memory and
    the rest in a temporary file. The question is checked and planned at once; requests begin with the first frame that
    is taken.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    def _context(self) -> QueryContext:
        return self._client._context()

    def _ask(self, query: Query) -> Iterator[pd.DataFrame]:
        if query.verify:
            raise QueryError("verify=True compares whole windows: it is for trades(), not for pieces of it")
        with deadline_after(self._client.config.deadline):
            plan = self._client._planned(query)
        return Run(plan, self._client._link, self._client.config).stream()
