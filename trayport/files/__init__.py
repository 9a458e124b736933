"""Frames to files, which are replaced as a whole or not at all, and to tables of Arrow and Polars."""

from __future__ import annotations

from .formats import SUFFIXES
from .saving import check_path, partial_path, save, write
from .tables import to_arrow, to_polars

__all__ = ["SUFFIXES", "check_path", "partial_path", "save", "to_arrow", "to_polars", "write"]
