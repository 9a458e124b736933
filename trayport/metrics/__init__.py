"""Metrics for Prometheus: a hook that counts attempts, and a page for many processes.

``dashboard.json`` in this folder is a dashboard for Grafana. The metrics need prometheus-client, which the extra
``metrics`` installs.
"""

from __future__ import annotations

from .prometheus import SHARED_KINDS, Prometheus, page_registry

__all__ = ["SHARED_KINDS", "Prometheus", "page_registry"]
