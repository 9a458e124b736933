"""Measurements of the figures in the README; ``python -m benchmarks`` repeats them."""

from __future__ import annotations


def verdict(good: bool) -> str:
    """Return "met" or "MISSED" for a target."""
    return "met" if good else "MISSED"
