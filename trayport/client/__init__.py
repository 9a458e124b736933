"""The client: what resolves names, plans, sends, decodes, joins and hands over."""

from __future__ import annotations

from .client import DEFAULT, Client, Plans, Streams

__all__ = ["DEFAULT", "Client", "Plans", "Streams"]
