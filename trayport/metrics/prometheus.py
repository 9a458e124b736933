"""What a client asks and how its limit stands, in Prometheus' words. Needs prometheus-client, the extra ``metrics``."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, TypeAlias
from weakref import WeakKeyDictionary

from attrs import define, field

from .. import _redact
from ..errors import ConfigError, TrayportWarning
from ..hooks import RequestEvent
from ..status import LimitStatus, Status
from ..typing import BreakerState

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric

__all__ = ["SHARED", "Prometheus", "page"]

logger = _redact.logger(__name__)

StatusOf: TypeAlias = Callable[[], Status]

_BREAKER: dict[BreakerState, int] = {"closed": 0, "half-open": 1, "open": 2}
SHARED = ("file", "redis")
"""The kinds of limits that other processes share."""
# Seconds. An answer takes from a moment to Config.timeout; a permit may be minutes away where many wait.
_LATENCIES = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_WAITS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)


@define(eq=False)
class Prometheus:
    """A hook that counts every attempt at a request in metrics of Prometheus; ``docs/metrics.md`` lists them.

    Their only labels are ``endpoint`` and ``status``. All that are made with one registry count into the same metrics,
    so that a notebook's cell may run twice and several clients may each have theirs; the gauges of the limit and of
    the breakers follow the ``status`` that was given last.

    Parameters
    ----------
    status
        ``trayport.status``, or that of a client: asked at each scrape how the limit and the breakers stand. Without
        it, or while it raises, there are no gauges of the limit, and a breaker is as its last attempt left it.
    registry
        Where the metrics are collected from; prometheus_client's own unless given.

    Raises ``ConfigError`` without prometheus-client, for a ``status`` that cannot be called or a ``registry`` that is
    none, and where the folder that ``PROMETHEUS_MULTIPROC_DIR`` names cannot be written.

    >>> import trayport as tp
    >>> from prometheus_client import CollectorRegistry
    >>> from trayport.metrics import Prometheus
    >>> registry = CollectorRegistry()
    >>> tp.configure(hooks=[Prometheus(tp.status, registry)])
    >>> frame = tp.trades("TTF Apr-24", "2024-02-05", "2024-02-06")
    >>> registry.get_sample_value("trayport_requests_total", {"endpoint": "trades", "status": "200"})
    1.0
    """

    status: StatusOf | None = field(default=None, repr=False)
    registry: CollectorRegistry | None = field(default=None, repr=False)
    _counts: _Counts = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        _require_library()
        from prometheus_client import REGISTRY, CollectorRegistry

        if self.status is not None and not callable(self.status):
            raise ConfigError(f"status={self.status!r} must be a function such as trayport.status, without brackets")
        if self.registry is not None and not isinstance(self.registry, CollectorRegistry):
            raise ConfigError(f"registry={self.registry!r} must be a CollectorRegistry of prometheus_client")
        self._counts = _counts_of(REGISTRY if self.registry is None else self.registry)
        if self.status is not None:
            self._counts.status = self.status

    def __call__(self, event: RequestEvent, /) -> None:
        """Count one attempt."""
        self._counts.add(event)


def _require_library() -> None:
    try:
        import prometheus_client  # noqa: F401
    except ImportError:
        raise ConfigError("metrics need the package prometheus-client: pip install 'trayport[metrics]'") from None


# --- what is counted -------------------------------------------------------------------------------------------------


@define(eq=False)
class _Counts:
    """The metrics of one registry, which collects them from here, whoever counts."""

    requests: Counter
    errors: Counter
    retries: Counter
    received: Counter
    decoded: Counter
    latency: Histogram
    waits: Histogram
    breakers: Mapping[str, Gauge]
    status: StatusOf | None = None

    def add(self, event: RequestEvent) -> None:
        """One attempt."""
        both = event.endpoint, "none" if event.status is None else str(event.status)
        self.requests.labels(*both).inc()
        if event.error is not None:
            self.errors.labels(*both).inc()
        if event.attempt > 1:
            self.retries.labels(*both).inc()
        self.received.labels(event.endpoint).inc(event.bytes_received)
        self.decoded.labels(event.endpoint).inc(event.bytes_decoded)
        self.latency.labels(event.endpoint).observe(event.elapsed)
        self.waits.labels(event.endpoint).observe(event.waited)
        self.breakers[event.api].set(_BREAKER[event.breaker])

    def describe(self) -> Iterator[Metric]:
        """Their names, for the registry. Nothing is asked for them: at this moment the client may not be set up."""
        for metric in self._metrics():
            yield from metric.describe()
        yield from _described()

    def collect(self) -> Iterator[Metric]:
        """All of them, and how the limit stands."""
        now = _asked(self.status)
        if now is not None:
            for api, state in now.breakers.items():  # one opens by an attempt, but half-opens by itself
                self.breakers[api].set(_BREAKER[state])
            yield from _limiter(now.limiter)
        for metric in self._metrics():
            yield from metric.collect()

    def _metrics(self) -> tuple[Counter | Gauge | Histogram, ...]:
        counters = self.requests, self.errors, self.retries, self.received, self.decoded
        return (*counters, self.latency, self.waits, *self.breakers.values())


_known: WeakKeyDictionary[CollectorRegistry, _Counts] = WeakKeyDictionary()
_lock = threading.Lock()


def _counts_of(registry: CollectorRegistry) -> _Counts:
    """The registry's own, made when it is first asked for them."""
    with _lock:
        if registry not in _known:
            try:
                counts = _made()
            except OSError as error:  # of the files that processes share their counts in
                raise ConfigError(
                    f"PROMETHEUS_MULTIPROC_DIR must name a folder that exists and can be written: {error}"
                ) from None
            registry.register(counts)
            _known[registry] = counts
        return _known[registry]


def _made() -> _Counts:
    from prometheus_client import Counter, Gauge, Histogram

    both, endpoint = ("endpoint", "status"), ("endpoint",)
    return _Counts(
        Counter("trayport_requests_total", "Attempts at requests, retries too.", both, registry=None),
        Counter("trayport_errors_total", "Attempts that ended in an error.", both, registry=None),
        Counter("trayport_retries_total", "Attempts after a first one that failed.", both, registry=None),
        Counter("trayport_received_bytes_total", "Bodies as they came over the wire.", endpoint, registry=None),
        Counter("trayport_decoded_bytes_total", "Bodies as they were unpacked.", endpoint, registry=None),
        Histogram(
            "trayport_request_duration_seconds", "From sending to the end of the answer.", endpoint,
            registry=None, buckets=_LATENCIES,
        ),
        Histogram(
            "trayport_wait_duration_seconds", "Waiting for leave to ask, within the limit.", endpoint,
            registry=None, buckets=_WAITS,
        ),
        {
            api: Gauge(
                f"trayport_{api}_breaker_state", f"The {api} API is asked as usual (0), tried (1) or left alone (2).",
                registry=None, multiprocess_mode="mostrecent",
            )
            for api in ("analytics", "reference")
        },
    )  # fmt: skip


# --- how the limit stands --------------------------------------------------------------------------------------------


def _per_minute(limiter: LimitStatus) -> float | None:
    """The permits of a minute, by the strictest of the rates in force."""
    return min((rate.count * 60 / rate.seconds for rate in limiter.rates), default=None)


_LIMITER: dict[str, tuple[str, Callable[[LimitStatus], float | None]]] = {
    "trayport_limiter_used_permits": ("Permits of the last minute, whoever took them.", lambda limiter: limiter.used),
    "trayport_limiter_permits_per_minute": ("The limit in force.", _per_minute),
    "trayport_limiter_share_ratio": ("Its share of full speed.", lambda limiter: limiter.share),
    "trayport_limiter_waiting": (
        "Threads of this process and other processes that wait.", lambda limiter: limiter.waiting,
    ),
    "trayport_limiter_shared": (
        "Is the limit shared with other processes (1), or this one's own (0)?", lambda limiter: limiter.kind in SHARED,
    ),
}  # fmt: skip


def _limiter(standing: LimitStatus) -> Iterator[Metric]:
    from prometheus_client.core import GaugeMetricFamily

    for name, (said, read) in _LIMITER.items():
        value = read(standing)
        if value is not None:
            yield GaugeMetricFamily(name, said, value)


def _described() -> Iterator[Metric]:
    from prometheus_client.core import GaugeMetricFamily

    for name, (said, _) in _LIMITER.items():
        yield GaugeMetricFamily(name, said)


def _asked(status: StatusOf | None) -> Status | None:
    """How things stand; None where nobody can tell, since a page without it is better than no page."""
    if status is None:
        return None
    try:
        return status()
    except Exception as error:
        logger.debug("metrics without the limit: %s", error)
        return None


# --- the page of `trayport metrics` ----------------------------------------------------------------------------------


def page(status: StatusOf | None, folder: str) -> CollectorRegistry:
    """What there is to serve without counting: the limit, and the sum of what processes count in ``folder``.

    ``folder`` is what ``PROMETHEUS_MULTIPROC_DIR`` is for them, or nothing. It may be filled, emptied and made while
    it is served.

    Raises ``ConfigError`` without prometheus-client.
    """
    _require_library()
    from prometheus_client import CollectorRegistry

    registry = CollectorRegistry()
    registry.register(_Limit(status))
    if folder:
        registry.register(_Sum(folder))
    return registry


@define(eq=False)
class _Limit:
    """How the limit stands, and nothing else."""

    status: StatusOf | None

    def collect(self) -> Iterator[Metric]:
        now = _asked(self.status)
        if now is not None:
            yield from _limiter(now.limiter)


@define(eq=False)
class _Sum:
    """What all processes count in a folder."""

    folder: str

    def collect(self) -> Iterable[Metric]:
        from prometheus_client.multiprocess import MultiProcessCollector

        try:
            summed: Iterable[Metric] = MultiProcessCollector(None, self.folder).collect()  # type: ignore[no-untyped-call]
        except Exception as error:  # whatever lies there; the limit can still be told
            warnings.warn(f"no counts from {self.folder}: {error}", TrayportWarning, stacklevel=2)
            return ()
        return summed
