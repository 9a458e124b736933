"""The client: resolves names, plans queries, fetches their pieces and joins them to frames."""

from __future__ import annotations

from .client import Client, Plans, Streams
from .default import DefaultClient
from .reference import References

__all__ = ["Client", "DefaultClient", "Plans", "References", "Streams"]
