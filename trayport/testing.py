"""For tests of code that uses this package: a sandbox behind the flat functions."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .api import configure
from .client import DEFAULT
from .sandbox import Sandbox

__all__ = ["sandboxed"]


@contextmanager
def sandboxed(**settings: Any) -> Iterator[Sandbox]:
    """Points the flat functions at a fresh sandbox, and back when the block ends.

    Requests run without limits there, and nothing is kept on disk. ``settings`` are those of ``Config``, such
    as ``tz`` or ``aliases``. What it gives knows what it was asked.

    >>> import trayport as tp
    >>> with sandboxed() as sandbox:
    ...     frame = tp.trades("TTF Apr-24", "2024-02-05", "2024-02-06")
    ...     [request.path for request in sandbox.asked][-1]
    '/trades'
    """
    with Sandbox(limits=False) as sandbox, tempfile.TemporaryDirectory(prefix="trayport-") as folder, DEFAULT.lent():
        configure(**{**sandbox.settings, "limiter": "off", "cache_dir": folder, **settings})
        yield sandbox
