"""Reference data: names to ids and back, from memory, a cache on disk, or the API."""

from __future__ import annotations

from .cache import Cache
from .catalogue import Catalogue

__all__ = ["Cache", "Catalogue"]
