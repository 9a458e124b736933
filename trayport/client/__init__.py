"""The client: what resolves names, plans, sends, decodes, joins and hands over."""

from __future__ import annotations

from .client import Client, Plans, Streams
from .default import DefaultClient
from .reference import References

__all__ = ["Client", "DefaultClient", "Plans", "References", "Streams"]
