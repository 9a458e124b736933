"""Metrics for Prometheus: requests, bytes, and the use of the rate limit, as a scrape returns them.

The example runs on simulated data. With a key of your own in TRAYPORT_API_KEY, remove the line with `sandboxed`. A
program in production calls `prometheus_client.start_http_server(8000)` instead of printing a registry.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

import trayport as tp
from trayport.metrics import Prometheus
from trayport.testing import sandboxed

registry = CollectorRegistry()

with sandboxed(limits=True):
    tp.configure(hooks=[Prometheus(tp.status, registry)], progress=False)
    tp.trades("TTF Apr-24", "2024-02-05", "2024-02-10")
    tp.last_trade(["TTF Apr-24", "TTF May-24"], at="2024-02-05T16:00")
    page = generate_latest(registry).decode()

for line in page.splitlines():
    if line.startswith(("trayport_requests_total", "trayport_received_bytes_total", "trayport_limiter")):
        print(line)
