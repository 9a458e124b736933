"""Bytes and patience: knows HTTP and the limits of the key, not frames and not contracts."""

from __future__ import annotations

from .session import Session

__all__ = ["Session"]
