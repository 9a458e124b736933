"""Stores of rate-limit states: the memory of one process, or a file shared by all processes of a user on a machine."""

from __future__ import annotations

import os
import platform
import re
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from urllib.parse import urlsplit

from attrs import define, field

from .._atomic import overwrite, read_overwritten
from ..config import Config, private_folder
from ..errors import TrayportWarning
from .state import RateState

if TYPE_CHECKING:
    from filelock import BaseFileLock

__all__ = [
    "FallbackStore",
    "FileStore",
    "MemoryStore",
    "Store",
    "StoreUnavailable",
    "limits_folder",
    "state_file",
    "state_name",
]

T = TypeVar("T")

# The lock is held for less than a millisecond; failing to get it for five seconds means that its holder is stuck.
_LOCK_PATIENCE = 5.0
_LOCK_POLL_INTERVAL = 0.001
# Milliseconds. A larger difference of the two clocks is a jump; reading one after the other, or adjusting one of them
# slowly, causes less.
_CLOCK_JUMP = 1000
# Milliseconds by the wall clock after which `clock` alone is trusted: the permits are too old to count, even if the
# wall clock was set meanwhile.
_TRUSTED_AFTER = 600_000
_WEEK = 7 * 86_400


class StoreUnavailable(Exception):
    """Reason why a store cannot be used.

    Parameters
    ----------
    message : str
        The reason.
    remedy : str
        The action that mends it.
    """

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


class Store(Protocol):
    """Place of the state of one key's rate limit, for all users of the key."""

    @property
    def kind(self) -> str:
        """Place of the state, as ``LimitStatus.kind``."""
        ...

    def transact(self, fn: Callable[[RateState, int], T]) -> T:
        """Run ``fn`` on the state and the present moment in milliseconds, while no other user changes the state."""
        ...


class SharedStore(Store, Protocol):
    """A store that may become unavailable."""

    @property
    def last_seen(self) -> tuple[RateState, int] | None:
        """The state after the last transaction, and its moment."""
        ...


@define(eq=False)
class MemoryStore:
    """The state of one process; its ``RateLimiter`` holds the lock."""

    kind: str = "memory"
    clock: Callable[[], float] = time.monotonic
    state: RateState = field(factory=RateState, repr=False)

    def transact(self, fn: Callable[[RateState, int], T]) -> T:
        """See ``Store``."""
        return fn(self.state, int(self.clock() * 1000))


@define(eq=False)
class FallbackStore:
    """A shared store, and half of the rates for this process alone once that store is unavailable.

    Half, because other processes may be cut off as well. Permits that were seen before still count.
    """

    store: SharedStore
    name: str
    clock: Callable[[], float] = time.monotonic
    reason: str = field(default="", init=False)
    """The reason why the shared store is not used any more."""
    _private: MemoryStore | None = field(default=None, init=False, repr=False)

    @property
    def kind(self) -> str:
        """Place of the state now."""
        return (self._private or self.store).kind

    def transact(self, fn: Callable[[RateState, int], T]) -> T:
        """See ``Store``."""
        if self._private is None:
            try:
                return self.store.transact(fn)
            except StoreUnavailable as error:
                self._private, self.reason = self._cut_off(), f"{self.name} cannot be used: {error}"
                problem = f"the rate limit that this key shares in {self.reason}; this process has half the limit now"
                warnings.warn(TrayportWarning(problem, error.remedy), stacklevel=2)
        return self._private.transact(fn)

    def _cut_off(self) -> MemoryStore:
        if self.store.last_seen is None:
            return MemoryStore("private", self.clock, RateState(max_share=0.5))
        state, moment = self.store.last_seen
        state.tickets.clear()
        state.max_share = 0.5
        state.shift(int(self.clock() * 1000) - moment)
        return MemoryStore("private", self.clock, state)


@lru_cache(maxsize=1)
def _boot_id() -> str:
    """Return an identity that changes when the machine restarts, or the machine's name where the system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return platform.node()


@define(eq=False)
class FileStore:
    """The state in a file, with a lock file beside it.

    The file is overwritten in place and not flushed to the disk: it changes up to eight times a second, under the lock,
    and a state that a power cut destroys is not needed after the restart. With 360 permits and eight processes a
    transaction takes 0.3 ms and at most 4; with a rename it took 0.5 and 11, with SQLite 0.9 and 34. A connection to
    SQLite that stays open is faster, but does not survive a fork.

    Parameters
    ----------
    path : Path
        The file. Its folder is created.
    clock : callable, default time.perf_counter
        Seconds of a clock that all processes of the machine share. ``time.perf_counter`` is system-wide, counts from
        the start of the machine, and is finer than ``time.monotonic`` on Windows.
    wall : callable, default time.time
        Seconds of the wall clock. It shows only whether ``clock`` jumped: time has passed if both clocks agree, and
        otherwise the permits count as just given.
    boot : callable
        Identity of this run of the machine; it changes when the machine restarts.
    """

    path: Path
    clock: Callable[[], float] = time.perf_counter
    wall: Callable[[], float] = time.time
    boot: Callable[[], str] = _boot_id
    kind: str = field(default="file", init=False)
    last_seen: tuple[RateState, int] | None = field(default=None, init=False, repr=False)
    _lock: BaseFileLock | None = field(default=None, init=False, repr=False)
    _has_warned: bool = field(default=False, init=False)

    def transact(self, fn: Callable[[RateState, int], T]) -> T:
        """See ``Store``."""
        try:
            with self._file_lock().acquire(timeout=_LOCK_PATIENCE, poll_interval=_LOCK_POLL_INTERVAL):
                state, now = self._read()
                result = fn(state, now)
                text = state.to_json(now=now, wall=int(self.wall() * 1000), boot=self.boot())
                overwrite(self.path, text.encode(), mode=0o600)
        except TimeoutError:
            raise StoreUnavailable(
                f"another process has held its lock for {_LOCK_PATIENCE:g} seconds",
                f"end the process that holds {self.path.with_suffix('.lock')}",
            ) from None
        except (OSError, NotImplementedError) as error:  # read-only, full, or without locks, as some network drives are
            raise StoreUnavailable(
                str(getattr(error, "strerror", None) or error),
                f"make {self.path.parent} writable, on a drive with file locks, or use limiter='memory' if no other "
                "process uses the key",
            ) from None
        self.last_seen = state, now
        return result

    def _file_lock(self) -> BaseFileLock:
        if self._lock is None:
            from filelock import FileLock

            private_folder(self.path.parent)
            if not self.path.exists():
                _delete_unused(self.path.parent)
            lock = self.path.with_suffix(".lock")
            _check_locks_work(lock)
            self._lock = FileLock(lock, mode=0o600)
        return self._lock

    def _read(self) -> tuple[RateState, int]:
        """Return the state in the file, with its moments on the present clock, and the present moment."""
        now = int(self.clock() * 1000)
        try:
            text = read_overwritten(self.path)
            if not text:  # a new file, or one that was deleted; our own memory of it still counts
                return self.last_seen[0] if self.last_seen else RateState(), now
            state, extra = RateState.from_json(text)
            self._follow_clock(state, now, **extra)
        except (ValueError, TypeError) as error:
            self._warn(f"{self.path} is damaged ({error}); the limiter goes on as after a minute of full use")
            return self.last_seen[0] if self.last_seen else RateState.after_full_minute(now), now
        return state, now

    def _follow_clock(self, state: RateState, moment: int, /, *, now: int, wall: int, boot: str, **extra: Any) -> None:
        """Shift the state to the clock at ``moment``, if that was set or the machine restarted since it was written."""
        if extra or (state.permits and state.permits[-1] > now):
            raise ValueError("it is of another version, or has permits of the future")
        has_restarted = boot != self.boot()
        if has_restarted and self.last_seen:
            raise StoreUnavailable("another machine writes there, too", "use limiter='redis://...' on both machines")
        by_clock, by_wall = moment - now, int(self.wall() * 1000) - wall
        passed = 0 if has_restarted else max(0, min(by_clock, by_wall))
        if by_clock - passed > _CLOCK_JUMP and by_wall > _TRUSTED_AFTER and not has_restarted:
            passed = by_clock
        if by_clock < 0 or by_clock - passed > _CLOCK_JUMP:
            if not has_restarted:
                self._warn("the clock of this machine jumped; the permits of the last minute count as just given")
            state.shift(by_clock - passed)

    def _warn(self, text: str) -> None:
        if not self._has_warned:
            self._has_warned = True
            warnings.warn(text, TrayportWarning, stacklevel=2)


def limits_folder() -> Path:
    """Return the folder of all state files."""
    import platformdirs  # on first use, because only a shared limit needs it

    return platformdirs.user_state_path("trayport", appauthor=False) / "limits"


def state_file(config: Config) -> Path:
    """Return the state file of the key of ``config``; both APIs share it, and ``cache_dir`` does not matter."""
    return limits_folder() / f"{state_name(config)}.json"


def state_name(config: Config) -> str:
    """Return the host and the digest of the key, in characters that a file name may have."""
    host = re.sub(r"[^\w.-]+", "-", urlsplit(config.analytics_url).netloc.lower())
    return f"{host}-{config.require_key().digest}"


def _delete_unused(folder: Path) -> None:
    """Delete files that were not used for a week: each run of a sandbox has its own port, and so its own file."""
    for path in folder.glob("*.json"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _WEEK:
                path.unlink()
                path.with_suffix(".lock").unlink()


def _check_locks_work(lock: Path) -> None:
    """Raise ``OSError`` on a drive without locks, where filelock would use a file that a killed process leaves."""
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
