"""Metrics of a client's requests and of its key's rate limit, as Prometheus reads them."""

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

__all__ = ["SHARED_KINDS", "Prometheus", "page_registry"]

logger = _redact.logger(__name__)

GetStatus: TypeAlias = Callable[[], Status]

SHARED_KINDS = ("file", "redis")
"""Values of ``LimitStatus.kind`` for a rate limit that other processes share."""

_BREAKER_NUMBERS: dict[BreakerState, int] = {"closed": 0, "half-open": 1, "open": 2}
# Upper bounds of the buckets in seconds. A response takes up to ``Config.timeout``, and a permit may be minutes away.
_LATENCY_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_WAIT_BUCKETS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)


@define(eq=False)
class Prometheus:
    """A hook that counts every attempt at a request in Prometheus metrics; ``docs/metrics.md`` lists them.

    The only labels are ``endpoint`` and ``status``. All hooks with the same registry count into the same metrics, so
    that the cell of a notebook may run twice, and several clients may have a hook each. The gauges of the rate limit
    and of the circuit breakers follow the ``status`` that was given last.

    Parameters
    ----------
    status : callable, optional
        ``trayport.status``, or the ``status`` method of a client: called at each scrape for the gauges of the rate
        limit and of the circuit breakers. Without it, or while it raises, there are no gauges of the rate limit, and
        the gauge of a breaker shows its state after the last attempt.
    registry : prometheus_client.CollectorRegistry, optional
        The registry that collects the metrics; by default that of prometheus_client.

    Raises
    ------
    ConfigError
        prometheus-client is not installed, ``status`` is not callable, ``registry`` is not a registry, or the folder in
        ``PROMETHEUS_MULTIPROC_DIR`` cannot be written.

    Examples
    --------
    >>> import trayport as tp
    >>> from prometheus_client import CollectorRegistry
    >>> from trayport.metrics import Prometheus
    >>> registry = CollectorRegistry()
    >>> tp.configure(hooks=[Prometheus(tp.status, registry)])
    >>> frame = tp.trades("TTF Apr-24", "2024-02-05", "2024-02-06")
    >>> registry.get_sample_value("trayport_requests_total", {"endpoint": "trades", "status": "200"})
    1.0
    """

    status: GetStatus | None = field(default=None, repr=False)
    registry: CollectorRegistry | None = field(default=None, repr=False)
    _metrics: _Metrics = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        _require_library()
        from prometheus_client import REGISTRY, CollectorRegistry

        if self.status is not None and not callable(self.status):
            raise ConfigError(f"status={self.status!r} must be a function such as trayport.status, without brackets")
        if self.registry is not None and not isinstance(self.registry, CollectorRegistry):
            raise ConfigError(f"registry={self.registry!r} must be a CollectorRegistry of prometheus_client")
        self._metrics = _metrics_of(REGISTRY if self.registry is None else self.registry)
        if self.status is not None:
            self._metrics.get_status = self.status

    def __call__(self, event: RequestEvent, /) -> None:
        """Count one attempt."""
        self._metrics.add(event)


def _require_library() -> None:
    try:
        import prometheus_client  # noqa: F401
    except ImportError:
        raise ConfigError("metrics need the package prometheus-client", "pip install 'trayport[metrics]'") from None


# --- metrics of attempts ---------------------------------------------------------------------------------------------


@define(eq=False)
class _Metrics:
    """The metrics of one registry, which all of its hooks share; a collector of prometheus_client."""

    requests: Counter
    errors: Counter
    retries: Counter
    received: Counter
    decoded: Counter
    latency: Histogram
    waits: Histogram
    breakers: Mapping[str, Gauge]
    get_status: GetStatus | None = None

    def add(self, event: RequestEvent) -> None:
        """Count one attempt."""
        labels = event.endpoint, "none" if event.status is None else str(event.status)
        self.requests.labels(*labels).inc()
        if event.error is not None:
            self.errors.labels(*labels).inc()
        if event.attempt > 1:
            self.retries.labels(*labels).inc()
        self.received.labels(event.endpoint).inc(event.bytes_received)
        self.decoded.labels(event.endpoint).inc(event.bytes_decoded)
        self.latency.labels(event.endpoint).observe(event.elapsed)
        self.waits.labels(event.endpoint).observe(event.waited)
        self.breakers[event.api].set(_BREAKER_NUMBERS[event.breaker])

    def describe(self) -> Iterator[Metric]:
        """Yield the metrics without values; the status is not read, since the client may not be set up yet."""
        from prometheus_client.core import GaugeMetricFamily

        for metric in self._all():
            yield from metric.describe()
        for name, (text, _) in _LIMIT_GAUGES.items():
            yield GaugeMetricFamily(name, text)

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics, with the present state of the rate limit and of the circuit breakers."""
        status = _read_status(self.get_status)
        if status is not None:
            for api, state in status.breakers.items():  # a breaker becomes half-open without an attempt
                self.breakers[api].set(_BREAKER_NUMBERS[state])
            yield from _limit_gauges(status.limiter)
        for metric in self._all():
            yield from metric.collect()

    def _all(self) -> tuple[Counter | Gauge | Histogram, ...]:
        counters = self.requests, self.errors, self.retries, self.received, self.decoded
        return (*counters, self.latency, self.waits, *self.breakers.values())


_metrics_by_registry: WeakKeyDictionary[CollectorRegistry, _Metrics] = WeakKeyDictionary()
_lock = threading.Lock()


def _metrics_of(registry: CollectorRegistry) -> _Metrics:
    """Return the metrics of a registry, created at the first call."""
    with _lock:
        if registry not in _metrics_by_registry:
            try:
                metrics = _create_metrics()
            except OSError as error:  # raised for the files in which several processes share their counts
                raise ConfigError(
                    f"PROMETHEUS_MULTIPROC_DIR must name a folder that exists and can be written: {error}"
                ) from None
            registry.register(metrics)
            _metrics_by_registry[registry] = metrics
        return _metrics_by_registry[registry]


def _create_metrics() -> _Metrics:
    from prometheus_client import Counter, Gauge, Histogram

    both, endpoint = ("endpoint", "status"), ("endpoint",)
    return _Metrics(
        Counter("trayport_requests_total", "Attempts at requests, including retries.", both, registry=None),
        Counter("trayport_errors_total", "Attempts that ended in an error.", both, registry=None),
        Counter("trayport_retries_total", "Attempts after a failed one.", both, registry=None),
        Counter("trayport_received_bytes_total", "Size of the bodies on the wire.", endpoint, registry=None),
        Counter("trayport_decoded_bytes_total", "Size of the decompressed bodies.", endpoint, registry=None),
        Histogram(
            "trayport_request_duration_seconds", "From sending to the end of the response.", endpoint,
            registry=None, buckets=_LATENCY_BUCKETS,
        ),
        Histogram(
            "trayport_wait_duration_seconds", "Wait for a permit of the rate limit.", endpoint,
            registry=None, buckets=_WAIT_BUCKETS,
        ),
        {
            api: Gauge(
                f"trayport_{api}_breaker_state",
                f"Circuit breaker of the {api} API: 0 closed, 1 half-open, 2 open.",
                registry=None, multiprocess_mode="mostrecent",
            )
            for api in ("analytics", "reference")
        },
    )  # fmt: skip


# --- gauges of the rate limit ----------------------------------------------------------------------------------------


def _permits_per_minute(limit: LimitStatus) -> float | None:
    """Return the permits per minute of the strictest rate in force; None without a rate limit."""
    return min((rate.count * 60 / rate.seconds for rate in limit.rates), default=None)


_LIMIT_GAUGES: dict[str, tuple[str, Callable[[LimitStatus], float | None]]] = {
    "trayport_limiter_used_permits": (
        "Permits of the last minute, of all users of the key.", lambda limit: limit.used,
    ),
    "trayport_limiter_permits_per_minute": ("The rate limit in force.", _permits_per_minute),
    "trayport_limiter_share_ratio": ("The rate limit in force as a share of the configured one.",
                                     lambda limit: limit.share),
    "trayport_limiter_waiting": (
        "Threads of this process, and other processes, that wait for a permit.", lambda limit: limit.waiting,
    ),
    "trayport_limiter_shared": (
        "1 if other processes share the rate limit, 0 if not.", lambda limit: limit.kind in SHARED_KINDS,
    ),
}  # fmt: skip


def _limit_gauges(limit: LimitStatus) -> Iterator[Metric]:
    from prometheus_client.core import GaugeMetricFamily

    for name, (text, read) in _LIMIT_GAUGES.items():
        value = read(limit)
        if value is not None:
            yield GaugeMetricFamily(name, text, value)


def _read_status(get_status: GetStatus | None) -> Status | None:
    """Return the present status, or None if it cannot be read: a page without it is better than no page."""
    if get_status is None:
        return None
    try:
        return get_status()
    except Exception as error:
        logger.debug("metrics without the rate limit: %s", error)
        return None


# --- the page of `trayport metrics` ----------------------------------------------------------------------------------


def page_registry(status: GetStatus | None, folder: str) -> CollectorRegistry:
    """Return a registry for a page that shows the rate limit and the sum of the counts of several processes.

    Parameters
    ----------
    status : callable or None
        Called at each scrape for the gauges of the rate limit.
    folder : str
        The folder in which the processes keep their counts (``PROMETHEUS_MULTIPROC_DIR``), or "" for none. It may be
        created, filled and emptied at any time.

    Raises
    ------
    ConfigError
        prometheus-client is not installed.
    """
    _require_library()
    from prometheus_client import CollectorRegistry

    registry = CollectorRegistry()
    registry.register(_LimitCollector(status))
    if folder:
        registry.register(_SumCollector(folder))
    return registry


@define(eq=False)
class _LimitCollector:
    """Collector of the gauges of the rate limit."""

    get_status: GetStatus | None

    def collect(self) -> Iterator[Metric]:
        status = _read_status(self.get_status)
        if status is not None:
            yield from _limit_gauges(status.limiter)


@define(eq=False)
class _SumCollector:
    """Collector of the counts that all processes keep in a folder."""

    folder: str

    def collect(self) -> Iterable[Metric]:
        from prometheus_client.multiprocess import MultiProcessCollector

        try:
            summed: Iterable[Metric] = MultiProcessCollector(None, self.folder).collect()  # type: ignore[no-untyped-call]
        except Exception as error:  # such as a foreign file in the folder; the rate limit can still be shown
            warnings.warn(f"no counts from {self.folder}: {error}", TrayportWarning, stacklevel=2)
            return ()
        return summed
