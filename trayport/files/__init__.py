"""Frames into files, whole or not at all; and into the tables of Arrow and Polars."""

from __future__ import annotations

from .convert import to_arrow, to_polars
from .save import check_path, partial, save, write
from .writers import SUFFIXES

__all__ = ["SUFFIXES", "check_path", "partial", "save", "to_arrow", "to_polars", "write"]
