"""Observers that count for a monitoring system: ``Prometheus``. Beside them lies ``dashboard.json`` for Grafana."""

from __future__ import annotations

from .prometheus import Prometheus

__all__ = ["Prometheus"]
