"""The client: every query and reference call, and its faces ``.plan`` and ``.stream``."""

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
    from requests.adapters import BaseAdapter

    from ..diagnosis import Diagnosis
    from ..refdata import Catalogue
    from ..transport import Auth, Session

__all__ = ["Client", "Plans", "Streams"]


@define(eq=False)
class _Engine:
    """The parts of a client that exist from its first query on; a forked child builds its own."""

    config: Config
    catalogue: Catalogue
    session: Session | None = None


class Client(Queries[pd.DataFrame], References):
    """A client of the API; every query returns a DataFrame.

    A client opens nothing before its first query, may be shared by threads, and works in a forked child. Used as a
    context manager, or by ``close()``, it closes its connections at the end. A pickled client keeps its settings
    without the key, which is looked up again where it is unpickled.

    Parameters
    ----------
    api_key : str, default None
        The API key. None takes the key of ``config``, or of the environment or the settings file (see
        ``Config.load``).
    config : Config, default None
        All other settings. None loads them with ``Config.load()`` at the first query.
    hooks : sequence of callables, default ()
        Observers; each is called with a ``RequestEvent`` after every attempt at a request.
    clock : callable, default utc_now
        Returns the present time as a UTC Timestamp. Tests pass a clock of their own.
    adapter : requests.adapters.BaseAdapter, optional
        Sends every request in place of the client's own connection pool; see ``docs/adapters.md``. Its
        responses must have urllib3's ``HTTPResponse`` as ``raw``, as those of ``HTTPAdapter`` have; their bodies may
        have been read.
    auth : callable, optional
        Adds a login to every request: a ``requests.auth.AuthBase``, such as one for NTLM or Kerberos, or another
        callable that takes and returns a ``PreparedRequest``.

    Attributes
    ----------
    plan : Plans
        The same queries, returning the ``Plan`` of the requests that they would make.
    stream : Streams
        The same queries, returning an iterator of DataFrames, each of about 65,000 rows at most.

    Raises
    ------
    ConfigError
        ``config`` is not a ``Config``, ``hooks`` are not functions, ``auth`` cannot be called, or ``adapter`` is not an
        adapter or makes retries of its own. Those would take no permit of the rate limit; ``Config.attempts`` sets the
        number of attempts.

    Notes
    -----
    With an ``adapter``, these no longer hold:

    - ``close()`` does not end a request that waits for its response, and a connection may outlive
      ``Config.deadline``: only the sockets of the client's own pool can be shut down.
    - The client's own pool sets TCP keep-alive, keeps ``Config.workers`` connections and trusts the operating system's
      certificates with the extra ``truststore``. The adapter gets ``timeout``, ``verify`` (True or
      ``Config.ca_bundle``) and ``proxies`` as arguments of ``send``, and decides the rest itself.
    - ``Status.pool`` counts no connections.
    - In a forked child the client is closed, since the adapter's sockets belong to the parent.

    Requests that ``auth`` sends itself, such as the handshake of NTLM, take no permit of the rate limit. A pickled
    client has neither ``adapter`` nor ``auth``. ``close()`` closes the adapter, too.

    Examples
    --------
    >>> import trayport as tp
    >>> with tp.Client(config=tp.Config(tz="Europe/Amsterdam")) as client:
    ...     client.venues(active=True).loc["EEX7", "levels"]
    'levels'
    """

    def __init__(
        self,
        api_key: str | None = None,
        *,
        config: Config | None = None,
        hooks: Sequence[Hook] = (),
        clock: Clock = utc_now,
        adapter: BaseAdapter | None = None,
        auth: Auth | None = None,
    ) -> None:
        self.hooks = check_hooks(hooks)
        self.adapter, self.auth = adapter, auth
        if adapter is not None or auth is not None:
            from ..transport import check_adapter, check_auth  # without them, nothing of HTTP is imported yet

            check_adapter(adapter)
            check_auth(auth)
        self.plan = Plans(self)
        self.stream = Streams(self)
        self._link = ClientLink(self)
        self._api_key = None if api_key is None else Config(api_key).api_key
        if config is not None and not isinstance(config, Config):
            raise ConfigError(f"config={config!r} is no Config", "write Config(...) or Config.load(...)")
        self._config = config
        self._clock = clock
        self._engine: _Engine | None = None
        self._closed = False
        self._lock = threading.Lock()
        _clients.add(self)

    # --- queries: `queries` and `reference` have their signatures ------------------------------------------------

    def _context(self) -> QueryContext:
        config = self.config
        return QueryContext(config.tz, self._clock(), config.intraday)

    def _ask(self, query: Query) -> pd.DataFrame:
        with deadline_after(self.config.deadline):
            return self._link.run(self._planned(query))

    def _planned(self, query: Query) -> Plan:
        """Return the plan of a query; only reference data are requested for it."""
        day = query.window.start.date()
        if isinstance(query.contracts, Front):
            front = self.catalogue.resolve_front(query.contracts, day)
            made = plan(evolve(query, contracts=front), front, [query.window], self.config.rates)
        else:
            contracts = self.catalogue.resolve_all(query.contracts, day)
            resolved = evolve(query, contracts=tuple(contracts))
            csv = self.config.wire_format == "csv"
            made = plan(resolved, contracts, [query.window], self.config.rates, csv=csv)
        return evolve(made, runner=self._link)

    # --- its parts -----------------------------------------------------------------------------------------------

    @property
    def config(self) -> Config:
        """The settings in use; the key in them prints as ``'***'``."""
        return self._opened().config

    @property
    def clock(self) -> Clock:
        """The function that returns the present time."""
        return self._clock

    @property
    def catalogue(self) -> Catalogue:
        """The reference data, which resolve names."""
        return self._opened().catalogue

    @property
    def session(self) -> Session:
        """The HTTP session, created at the first request; no key is needed before."""
        from ..transport import Session

        while True:
            engine = self._opened()
            with self._lock:
                if engine is not self._engine:
                    continue  # another thread closed or configured the client meanwhile
                if engine.session is None:
                    engine.session = Session(
                        engine.config, self.hooks, now=self._clock, adapter=self.adapter, auth=self.auth
                    )
                return engine.session

    def status(self) -> Status:
        """Return the state of the rate limit, the circuit breakers and the connections, and counts of requests.

        Nothing is sent.

        Returns
        -------
        Status

        Raises
        ------
        ConfigError
            There is no API key; a rate limit belongs to a key.

        Examples
        --------
        >>> import trayport as tp
        >>> tp.status().breakers["analytics"]
        'closed'
        """
        return self.session.status()

    def doctor(self) -> Diagnosis:
        """Check everything that data depend on, once each.

        Checks the settings, the key, the folders, certificates and the proxy; both APIs and the clock; whether the key
        is accepted, and its entitlements. Makes at most six requests over connections of its own. Each counts for the
        rate limit of the key, and none is retried. Takes one or two seconds, and at most about 30 s if a server does
        not respond.

        Returns
        -------
        Diagnosis
            Prints one line for each ``Check``: its verdict, its finding and its remedy, never the key.

        Notes
        -----
        Raises no error for anything that is broken: that is the finding of a check.

        Examples
        --------
        >>> import trayport as tp
        >>> tp.doctor().worst
        'note'
        """
        from ..diagnosis import Diagnosis, examine  # imported only where it is used

        return Diagnosis(tuple(examine(self)))

    def _send_look_up(self, request: Request, cancel: CancelToken | None, request_id: str) -> bytes:
        """Send a request for reference data; without ``cancel``, in a thread, so that Ctrl-C ends it on Windows too."""
        session = self.session
        session.raise_if_open(request)
        if cancel is not None:
            return session.send(request, cancel, request_id=request_id)
        with deadline_after(session.config.deadline):
            return run_in_thread(lambda cancel: session.send(request, cancel, request_id=request_id))

    # --- opening and closing -------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close all connections; a closed client raises ``QueryError`` for every query."""
        with self._lock:
            self._closed = True
            self._discard_engine()

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
        return _unpickled, (type(self), engine.config if engine else self._config)

    def __copy__(self) -> Client:
        return self  # a copy would need connections of its own

    def __deepcopy__(self, _: object) -> Client:
        return self

    def _opened(self) -> _Engine:
        engine = self._engine
        if engine is not None:
            return engine
        from ..refdata import Cache, Catalogue  # imported at the first query, so that `import trayport` is quick

        with self._lock:
            if self._closed:
                raise QueryError("this client is closed", "make a new one")
            if self._engine is None:
                config = self._config or Config.load()
                if self._api_key is not None:
                    config = evolve(config, api_key=self._api_key)
                # Keys differ in their entitlements, so each has reference data of its own.
                place = f"{config.reference_url} {config.api_key.digest if config.api_key else ''}"
                cache = Cache(config.cache_dir)
                catalogue = Catalogue(self._send_look_up, cache, place, config.aliases, config.workers)
                self._engine = _Engine(config, catalogue)
            return self._engine

    def _discard_engine(self) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.catalogue.close()
            if engine.session is not None:
                engine.session.close()

    def _reset_after_fork(self) -> None:
        """Forget the parent's sockets, and its lock, which another thread may have held at the fork."""
        self._lock = threading.Lock()
        self._closed = self._closed or self.adapter is not None  # the adapter's sockets are the parent's, too
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.catalogue.close()


_clients: WeakSet[Client] = WeakSet()


def _reset_all_after_fork() -> None:
    for client in list(_clients):
        client._reset_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_all_after_fork)


def check_hooks(hooks: Sequence[Hook]) -> tuple[Hook, ...]:
    """Return ``hooks`` as a tuple, or raise ``ConfigError`` if they are not functions."""
    if not isinstance(hooks, Iterable) or not all(map(callable, found := tuple(hooks))):
        raise ConfigError(f"hooks={hooks!r} must be a list of functions", "write for example hooks=[print]")
    return found


def _unpickled(kind: type[Client], config: Config | None) -> Client:
    return kind(config=config)


class Plans(Queries[Plan]):
    """The queries of a client, returning their plans; only reference data are requested.

    Examples
    --------
    >>> import trayport as tp
    >>> len(tp.plan.trades("TTF Apr-24", "2023-06-01", "2024-02-10"))
    8
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    def _context(self) -> QueryContext:
        return self._client._context()

    def _ask(self, query: Query) -> Plan:
        return self._client._planned(query)


class Streams(Queries[Iterator[pd.DataFrame]]):
    """The queries of a client, returning an iterator of DataFrames, in bounded memory.

    Each planned request gives one frame, also if it has no rows, in the order of ``plan``: by window, then by group of
    contracts. A response of more than about 65,000 rows gives several frames, cut between two times; if the server
    sent its rows in no order of time, it gives one. Rows that wait to be taken are packed: at most 16 MB in memory, and
    the others in a temporary file. The query is checked and planned at once; requests begin when the first frame is
    taken.

    Examples
    --------
    >>> import trayport as tp
    >>> [frame.index.is_monotonic_increasing for frame in tp.stream.trades("TTF Apr-24", "2024-02-05", "2024-03-20")]
    [True, True]
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    def _context(self) -> QueryContext:
        return self._client._context()

    def _ask(self, query: Query) -> Iterator[pd.DataFrame]:
        if query.verify:
            raise QueryError("verify=True compares whole windows", "use it with trades(), not with stream")
        with deadline_after(self._client.config.deadline):
            plan = self._client._planned(query)
        return Run(plan, self._client._link, self._client.config).stream()
