"""Pages of metrics as Prometheus reads them, and values for them."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from trayport import RequestEvent, Status
from trayport.config import Rate
from trayport.metrics import Prometheus
from trayport.status import Counts, LimitStatus, Pool
from trayport.typing import BreakerState

LABELS = {"endpoint", "status", "le"}


Page = dict[tuple[str, tuple[tuple[str, str], ...]], float]
"""The samples of a page by name and labels."""


def text_of(registry: CollectorRegistry) -> str:
    """Return the page of a registry."""
    return generate_latest(registry).decode()


def read(text: str) -> Page:
    """Return the samples of a page, without the creation times that prometheus_client adds."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def summed(page: Page, name: str, **labels: str) -> float:
    """Return the sum of the samples with a name and labels."""
    return sum(value for (key, pairs), value in page.items() if key == name and labels.items() <= dict(pairs).items())


def samples(page: Page, name: str) -> dict[tuple[str, ...], float]:
    """Return the samples with a name by the values of their labels."""
    return {tuple(value for _, value in labels): value for (key, labels), value in page.items() if key == name}


def event(**given: Any) -> RequestEvent:
    """Return an event with these fields and defaults for the others."""
    defaults = {
        "id": "0-1", "endpoint": "trades", "api": "analytics", "attempt": 1, "waited": 0.0, "elapsed": 0.2,
        "status": 200, "bytes_received": 10, "bytes_decoded": 40,
    }  # fmt: skip
    return RequestEvent(**{**defaults, **given})


def status(analytics: BreakerState = "closed", **given: Any) -> Status:
    """Return a status with these fields of the rate limit and defaults for the others."""
    defaults = {
        "kind": "file", "rates": (Rate(6, 1.0), Rate(360, 60.0)), "used": 12, "share": 1.0, "slowed_until": None,
        "waiting": 3,
    }  # fmt: skip
    return Status(
        LimitStatus(**{**defaults, **given}), {"analytics": analytics, "reference": "closed"}, Pool(0, 8, 0), Counts()
    )


def full_page(registry: CollectorRegistry) -> str:
    """Return the page of a hook that counted each kind of attempt, with a rate limit."""
    hook = Prometheus(status, registry)
    hook(event())
    hook(event(attempt=2, status=None, error="TimedOut", retry_reason="ServerError 503"))
    hook(event(endpoint="markets", api="reference"))
    return text_of(registry)
