"""For tests of code that uses this package: a sandbox behind the flat functions."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .api import configure
from .client import DEFAULT
from .config import Config
from .sandbox import Sandbox

__all__ = ["sandboxed"]


@contextmanager
def sandboxed(**settings: Any) -> Iterator[Sandbox]:
    """Points the flat functions at a fresh sandbox, and back when the block ends.

    Requests run without limits there, nothing is kept on disk, and no setting of this machine plays a part.
    ``settings`` are those of ``Config``, such as ``tz`` or ``aliases``; with ``intraday=True`` the sandbox's key
    may see today. What it gives knows what it was asked.

    >>> import trayport as tp
    >>> with sandboxed() as sandbox:
    ...     frame = tp.trades("TTF Apr-24", "2024-02-05", "2024-02-06")
    ...     [request.path for request in sandbox.asked][-1]
    '/trades'
    """
    intraday = bool(settings.get("intraday", False))
    with (
        Sandbox(limits=False, intraday=intraday) as sandbox,
        tempfile.TemporaryDirectory(prefix="trayport-") as folder,
        DEFAULT.lent(),
    ):
        config = Config().having(**sandbox.settings, limiter="off", cache_dir=folder)
        configure(config=config, **settings)
        yield sandbox
