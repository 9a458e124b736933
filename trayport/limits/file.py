"""A key's state in a file, for every process of one user on one machine.

The file is written in place with one call, its length and checksum first: what a killed process leaves behind is the
old state or the new one, and what a crash of the machine tears is noticed. Measured with 360 permits and eight
processes: 0.3 ms each time, at most 4; replacing the file 0.5 and 11, SQLite 0.9 and 34, or 0.2 and 9 without its
fsync and with a connection that stays open, which no fork survives.
"""

from __future__ import annotations

import os
import platform
import re
import time
import warnings
import zlib
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from attrs import define, field

from ..config import Config, private_folder
from ..errors import TrayportWarning
from .state import RateState
from .stores import StoreUnavailable

if TYPE_CHECKING:
    from filelock import BaseFileLock

__all__ = ["FileStore", "state_file", "limits_folder"]

T = TypeVar("T")

# Held for a fraction of a millisecond: who has not got it after so long waits for a process that stands still.
_PATIENCE = 5.0
_POLL = 0.001
# Two clocks read one after the other differ by less, and so does one that is set right as it goes.
_JUMP = 1000
_A_WEEK = 7 * 86_400


@lru_cache(maxsize=1)
def boot() -> str:
    """What tells this run of this machine from others, as far as the system says."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return platform.node()


@define(eq=False)
class FileStore:
    """The state in the file ``path``.

    ``clock`` has to be one for all processes: ``time.perf_counter`` is system-wide by its documentation, counts from
    the start of the machine, and is finer on Windows than ``time.monotonic``. ``wall`` is asked only whether
    ``clock`` jumped: time has passed if both say so, and otherwise the permits count as just given.
    """

    path: Path
    clock: Callable[[], float] = time.perf_counter
    wall: Callable[[], float] = time.time
    boot: Callable[[], str] = boot
    kind: str = field(default="file", init=False)
    last: tuple[RateState, int] | None = field(default=None, init=False, repr=False)
    _lock: BaseFileLock | None = field(default=None, init=False, repr=False)
    _warned: bool = field(default=False, init=False)

    def transact(self, fn: Callable[[RateState, int], T]) -> T:
        """See ``Store``."""
        try:
            with self._locked().acquire(timeout=_PATIENCE, poll_interval=_POLL):
                handle = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600)
                try:
                    text, size = _read(handle)
                    state, now = self._state(text)
                    answer = fn(state, now)
                    said = state.text(now=now, wall=int(self.wall() * 1000), boot=self.boot())
                    _write(handle, said, size)
                finally:
                    os.close(handle)
        except TimeoutError:
            raise StoreUnavailable(f"another process has held its lock for {_PATIENCE:g} seconds") from None
        except (OSError, NotImplementedError) as error:  # read-only, full, or without locks, as some network drives are
            raise StoreUnavailable(str(getattr(error, "strerror", None) or error)) from None
        self.last = state, now
        return answer

    def _locked(self) -> BaseFileLock:
        if self._lock is None:
            from filelock import FileLock

            private_folder(self.path.parent)
            if not self.path.exists():
                _tidy(self.path.parent)
            lock = self.path.with_suffix(".lock")
            _probe(lock)
            self._lock = FileLock(lock, mode=0o600)
        return self._lock

    def _state(self, text: str | None) -> tuple[RateState, int]:
        """The state as it stands now."""
        now = int(self.clock() * 1000)
        if text == "":  # a new file; whoever deletes an old one does not forget us
            return self.last[0] if self.last else RateState(), now
        try:
            if text is None:
                raise ValueError("its checksum is wrong")
            state, told = RateState.read(text)
            self._go_with_clock(state, now, **told)
        except (ValueError, TypeError) as error:
            self._warn(f"{self.path} is damaged ({error}); a minute of full use is taken for what it held")
            return self.last[0] if self.last else RateState.of_a_full_minute(now), now
        return state, now

    def _go_with_clock(self, state: RateState, now: int, /, *, wall: int, boot: str, **then: Any) -> None:
        before = int(then.pop("now"))
        if then or (state.given and state.given[-1].timestamp > before):
            raise ValueError("it is of another version, or later than itself")
        rebooted = boot != self.boot()
        if rebooted and self.last:
            raise StoreUnavailable("another machine writes there, too: use limiter='redis://...'")
        passed = now - before
        by_wall = int(self.wall() * 1000) - wall
        believed = 0 if rebooted else max(0, min(passed, by_wall))
        if passed - believed > _JUMP and by_wall > 600_000 and not rebooted:
            believed = passed  # the wall clock was set right long ago, and nothing of then counts any more
        if passed < 0 or passed - believed > _JUMP:
            if not rebooted:
                self._warn("the clock of this machine jumped; the permits of the last minute count as just given")
            state.move(passed - believed)

    def _warn(self, text: str) -> None:
        if not self._warned:
            self._warned = True
            warnings.warn(text, TrayportWarning, stacklevel=2)


def limits_folder() -> Path:
    """Where the states of all keys lie."""
    import platformdirs  # only where there is a limit to share

    return platformdirs.user_state_path("trayport", appauthor=False) / "limits"


def state_file(config: Config) -> Path:
    """Where the state of this key lies: by host, since both APIs and whatever is cached have nothing to do with it."""
    return limits_folder() / f"{holder_of(config)}.json"


def holder_of(config: Config) -> str:
    """The name of a key at its host, fit for a file: its digest, never the key."""
    host = re.sub(r"[^\w.-]+", "-", urlsplit(config.analytics_url).netloc.lower())
    return f"{host}-{config.require_key().digest}"


def _read(handle: int) -> tuple[str | None, int]:
    """The text, or None if it is not what was written; and the size of the file."""
    raw = b""
    while piece := os.read(handle, 1 << 20):
        raw += piece
    if not raw:
        return "", 0
    head, _, body = raw.partition(b"\n")
    try:
        checksum, length = (int(word, 16) for word in head.split())
    except ValueError:
        return None, len(raw)
    body = body[:length]
    if len(body) < length or zlib.crc32(body) != checksum:
        return None, len(raw)
    return body.decode("ascii", "replace"), len(raw)


def _write(handle: int, text: str, before: int) -> None:
    body = text.encode("ascii")
    raw = b"%08x %08x\n%b" % (zlib.crc32(body), len(body), body)
    os.lseek(handle, 0, os.SEEK_SET)
    if os.write(handle, raw) != len(raw):
        raise OSError(0, "the disk is full")
    if len(raw) < before:
        os.ftruncate(handle, len(raw))


def _tidy(folder: Path) -> None:
    """Delete what was not used for a week: each sandbox has a port, and so a file, of its own."""
    for old in folder.glob("*.json"):
        with suppress(OSError):
            if time.time() - old.stat().st_mtime > _A_WEEK:
                old.unlink()
                old.with_suffix(".lock").unlink()


def _probe(lock: Path) -> None:
    """Fail where locks do not work: filelock would go on with a file that a killed process leaves behind."""
    if os.name != "posix":
        return
    import fcntl

    handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        pass
    finally:
        os.close(handle)
