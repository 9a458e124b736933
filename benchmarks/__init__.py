"""What the README claims, measured again by one command: ``python -m benchmarks``."""

from __future__ import annotations


def verdict(good: bool) -> str:
    """Was a target met?"""
    return "met" if good else "MISSED"
