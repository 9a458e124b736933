"""The Reference Data API and its memory: what the names and ids of contracts mean."""

from __future__ import annotations

from .cache import Cache
from .catalogue import Catalogue

__all__ = ["Cache", "Catalogue"]
