"""Keeps keys out of logs: a filter that knows them by value, whatever a record is about."""

from __future__ import annotations

import json
import logging
import os
import re
import threading
import traceback
from urllib.parse import quote

__all__ = ["hide", "logger", "redacted", "watch"]

# A text that short, such as a test's "a", would blot out words; no key is.
_SHORTEST = 8
_MASK = "***"
_OTHERS = (
    "requests", "urllib3", "urllib3.connection", "urllib3.connectionpool", "urllib3.poolmanager", "urllib3.response",
    "urllib3.util.retry",
)  # fmt: skip

_lock = threading.Lock()
_hidden: set[str] = set()
_pattern: re.Pattern[str] | None = None


def hide(value: str) -> None:
    """From now on ``value`` is shown in no record that passes the filter, in any spelling that a record may have."""
    global _pattern
    with _lock:
        spellings = {value, quote(value, safe=""), json.dumps(value)[1:-1], repr(value)[1:-1]}
        if len(value) < _SHORTEST or spellings <= _hidden:
            return
        _hidden.update(spellings)
        longest_first = sorted(_hidden, key=len, reverse=True)
        _pattern = re.compile("|".join(map(re.escape, longest_first)), re.IGNORECASE)


def _begin_anew() -> None:
    """In a forked child: whoever held the lock at the fork is not there to give it back."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


def redacted(text: str) -> str:
    """``text`` without any key that is known."""
    return text if _pattern is None else _pattern.sub(_MASK, text)


class _Filter(logging.Filter):
    """Lets every record pass, without the keys in it: its message, its arguments, its traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        if _pattern is None:
            return True
        try:
            text = record.getMessage()
        except Exception:  # logging would print the arguments to say that they do not fit
            text = str(record.msg)
            record.args = ()
        if (clean := redacted(text)) != text:
            record.msg, record.args = clean, ()
        if record.exc_info and record.exc_info[1] is not None:
            told = "".join(traceback.format_exception(record.exc_info[1])).rstrip("\n")
            if (clean := redacted(told)) != told:
                # The exception itself goes, too: a handler may look into it, and into its frames.
                record.exc_info, record.exc_text = None, clean
        if record.stack_info:
            record.stack_info = redacted(record.stack_info)
        return True


_FILTER = _Filter("trayport")


def logger(name: str) -> logging.Logger:
    """The logger of a module of ours. A logger's filter sees only what is said to it itself, so each needs its own."""
    found = logging.getLogger(name)
    found.addFilter(_FILTER)
    return found


def watch() -> None:
    """The same for the loggers of what carries the key: urllib3 tells at DEBUG what it sends."""
    known = [name for name in list(logging.root.manager.loggerDict) if name.startswith("urllib3.")]
    for name in {*_OTHERS, *known}:
        logger(name)
