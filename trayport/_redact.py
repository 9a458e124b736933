"""Removes keys from log records: a filter that knows the keys by value."""

from __future__ import annotations

import json
import logging
import os
import re
import threading
import traceback
from urllib.parse import quote

__all__ = ["hide", "logger", "redacted", "watch"]

# A shorter text, such as a test's "a", would hide parts of words. Real keys are longer.
_MIN_LENGTH = 8
_MASK = "***"
_LOGGERS_OF_LIBRARIES = (
    "requests", "urllib3", "urllib3.connection", "urllib3.connectionpool", "urllib3.poolmanager", "urllib3.response",
    "urllib3.util.retry",
)  # fmt: skip

_lock = threading.Lock()
_hidden: set[str] = set()
_pattern: re.Pattern[str] | None = None


def hide(value: str) -> None:
    """Hide a key in all further log records that pass the filter, in each spelling that a record may have."""
    global _pattern
    with _lock:
        spellings = {value, quote(value, safe=""), json.dumps(value)[1:-1], repr(value)[1:-1]}
        if len(value) < _MIN_LENGTH or spellings <= _hidden:
            return
        _hidden.update(spellings)
        longest_first = sorted(_hidden, key=len, reverse=True)
        _pattern = re.compile("|".join(map(re.escape, longest_first)), re.IGNORECASE)


def redacted(text: str) -> str:
    """Return a text with each known key replaced by ``***``."""
    return text if _pattern is None else _pattern.sub(_MASK, text)


class _Filter(logging.Filter):
    """Filter that passes every record, with the keys removed from its message, its arguments and its traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        if _pattern is None:
            return True
        try:
            text = record.getMessage()
        except Exception:  # logging would print arguments that do not fit the message
            text = str(record.msg)
            record.args = ()
        if (clean := redacted(text)) != text:
            record.msg, record.args = clean, ()
        if record.exc_info and record.exc_info[1] is not None:
            text = "".join(traceback.format_exception(record.exc_info[1])).rstrip("\n")
            if (clean := redacted(text)) != text:
                # The exception is removed, too, since a handler may show its frames.
                record.exc_info, record.exc_text = None, clean
        if record.stack_info:
            record.stack_info = redacted(record.stack_info)
        return True


_FILTER = _Filter("trayport")


def logger(name: str) -> logging.Logger:
    """Return the logger of a module, with the filter.

    Each logger needs the filter: logging applies a logger's filter only to records that were logged with it, and not
    to those of its children.
    """
    found = logging.getLogger(name)
    found.addFilter(_FILTER)
    return found


def watch() -> None:
    """Add the filter to the loggers of requests and urllib3, which log requests at the level DEBUG."""
    known = [name for name in list(logging.root.manager.loggerDict) if name.startswith("urllib3.")]
    for name in {*_LOGGERS_OF_LIBRARIES, *known}:
        logger(name)


def _reset_lock() -> None:
    """Replace the lock in a forked child, where the thread that held it does not exist."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_lock)
