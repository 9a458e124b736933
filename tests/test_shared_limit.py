"""One limit for a key, whichever process uses it: the file between them, and what may happen to it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from support.fake import Clock
from support.wire import Wire, http

from trayport import Config, TrayportWarning
from trayport._atomic import read_overwritten
from trayport._parallel import Cancelled
from trayport.config import Rate
from trayport.endpoints import REFERENCE, TRADES, Request
from trayport.limits import FallbackStore, FileStore, RateLimiter, RateState, limiter_of, state_file
from trayport.transport import Session

RATES = Config().rates
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
posix_only = pytest.mark.skipif(os.name != "posix", reason="Windows has no such modes and locks")


class Machine:
    """A file, and clocks that a test sets by hand: those of the machine, and one boot."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "limits" / "host-digest.json"
        self.up, self.wall, self.boot = Clock(5000.0), Clock(1.7e9), "one"

    def process(self) -> RateLimiter:
        """The limiter of another process of this machine."""
        store = FileStore(self.path, self.up, self.wall, lambda: self.boot)
        return RateLimiter(self.up, FallbackStore(store, "a file", self.up))

    def wait(self, stop: threading.Event, seconds: float) -> None:
        self.pass_(seconds)

    def pass_(self, seconds: float) -> None:
        self.up.now += seconds
        self.wall.now += seconds

    def take(self, limiter: RateLimiter, count: int = 1, rates: tuple[Rate, ...] = RATES) -> float:
        """The seconds until so many permits are there."""
        return sum(limiter.acquire(rates, threading.Event(), self.wait) for _ in range(count))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


class TestOneFile:
    """What one process takes, the others see."""

    def test_permits_of_one_process_count_for_the_next(self, machine: Machine) -> None:
        machine.take(machine.process(), 3)

        assert 0.5 < machine.take(machine.process()) < 0.52

    def test_a_pause_holds_back_the_others_too(self, machine: Machine) -> None:
        one, other = machine.process(), machine.process()
        one.pause(12.0)

        assert 12.0 == machine.take(other)

    def test_a_refusal_slows_the_others_too(self, machine: Machine) -> None:
        one, other = machine.process(), machine.process()
        one.slow_down()

        assert 60 / 3 == pytest.approx(machine.take(other, 61), rel=0.02)
        assert 40 / 6 > machine.take(other, 40) * 0.6
        machine.pass_(80)
        assert 0.0 == machine.take(other, 3)

    def test_it_is_for_its_owner_alone(self, machine: Machine) -> None:
        machine.take(machine.process())
        names = {path.name for path in machine.path.parent.iterdir()}

        assert {"host-digest.json", "host-digest.lock"} == names
        if os.name == "posix":
            modes = [path.stat().st_mode & 0o777 for path in (machine.path.parent, *machine.path.parent.iterdir())]
            assert [0o700, 0o600, 0o600] == modes

    def test_who_gives_up_leaves_no_ticket(self, machine: Machine) -> None:
        limiter, stop = machine.process(), threading.Event()
        machine.take(limiter, 3)
        with pytest.raises(Cancelled):
            limiter.acquire(RATES, stop, lambda stop, seconds: stop.set())

        assert {} == state(machine.path).tickets

    def test_files_of_last_week_are_tidied_away(self, machine: Machine) -> None:
        machine.take(machine.process())
        other = machine.path.with_name("other.json")
        for old in ("old.json", "old.lock"):
            (machine.path.parent / old).write_text("")
            os.utime(machine.path.parent / old, (0, 0))
        RateLimiter(store=FileStore(other)).acquire(RATES, threading.Event())

        assert {machine.path.stem, "other"} == {path.stem for path in machine.path.parent.iterdir()}

    def test_it_is_a_minute_long_however_long_it_is_used(self, machine: Machine) -> None:
        machine.take(machine.process(), 1000)

        assert len(state(machine.path).permits) < 400
        assert machine.path.stat().st_size < 6000


def state(path: Path) -> RateState:
    """What the file says."""
    return RateState.from_json(read_overwritten(path))[0]


class TestWhereItLies:
    """In the user's state folder, by host and digest of the key."""

    def test_by_host_and_digest_and_whatever_the_cache_is(self, tmp_path: Path) -> None:
        one = Config("canary-key")
        others = [Config("canary-key", cache_dir=tmp_path), Config("canary-key", per_second=2)]

        assert {state_file(one)} == {state_file(other) for other in others}
        assert f"analytics.trayport.com-{one.require_key().digest}.json" == state_file(one).name
        assert state_file(one) != state_file(Config("another"))

    def test_any_host_is_a_name_of_a_file(self) -> None:
        here = Config("key", analytics_url="http://[::1]:8080/api")

        assert re.fullmatch(r"[\w.-]+\.json", state_file(here).name)

    def test_neither_its_name_nor_its_text_holds_the_key(self) -> None:
        config = Config("canary-7d2f-key")
        limiter_of(config).acquire(RATES, threading.Event())
        files = list(state_file(config).parent.glob(f"*{config.require_key().digest}*"))

        assert 2 == len(files)
        assert [] == [path for path in files if "canary" in path.name or "canary" in path.read_text()]

    def test_both_apis_share_it_and_two_keys_do_not(self) -> None:
        with Wire(http()) as wire:
            urls: Any = {"analytics_url": f"{wire.url}/api", "reference_url": wire.url}
            one, other = (Session(Config(token_hex(8), **urls)) for _ in range(2))
            for _ in range(2):
                one.send(Request(TRADES))
                one.send(Request(REFERENCE["instruments"]))
                other.send(Request(TRADES))

        assert ("file", 4) == (one.status().limiter.kind, one.status().limiter.used)
        assert 2 == other.status().limiter.used


class TestTrouble:
    """Whatever happens costs one warning, and never makes it faster."""

    @pytest.mark.parametrize(
        "seconds", [-4000.0, -30.0, -0.2, 2.0, 3600.0], ids=["far-back", "back", "a-little-back", "on", "far-on"]
    )
    def test_a_clock_that_jumps_opens_no_window(self, machine: Machine, seconds: float) -> None:
        limiter = machine.process()
        machine.take(limiter, 3)
        machine.up.now += seconds
        with pytest.warns(TrayportWarning, match="the clock of this machine jumped"):
            waited = machine.take(limiter)
        machine.up.now += seconds
        machine.take(limiter)  # it is said once

        assert 0.5 < waited < 0.52

    def test_a_wall_clock_that_is_set_is_no_reason_to_speed_up_or_to_stop(self, machine: Machine) -> None:
        limiter = machine.process()
        machine.take(limiter, 3)
        machine.wall.now += 7200
        assert 0.5 < machine.take(limiter) < 0.52
        machine.pass_(7200)
        machine.wall.now -= 3600
        assert 0.0 == machine.take(limiter, 3)

    def test_a_night_later_nothing_is_left_of_it(self, machine: Machine) -> None:
        machine.take(machine.process(), 300)
        machine.pass_(40_000)

        assert 0.0 == machine.take(machine.process(), 3)

    def test_after_a_restart_the_last_minute_counts_as_just_over_without_a_word(self, machine: Machine) -> None:
        machine.take(machine.process(), 3)
        machine.boot, machine.up.now = "two", 12.0

        assert 0.5 < machine.take(machine.process()) < 0.52

    def test_a_folder_that_two_machines_share_ends_the_sharing(self, machine: Machine) -> None:
        here = machine.process()
        machine.take(here, 3)
        there = Machine(machine.path.parent.parent)
        there.boot, there.up = "two", Clock(80.0)
        there.take(there.process(), 3)

        with pytest.warns(TrayportWarning, match="another machine writes there.*redis"):
            waited = machine.take(here)
        assert ("private", True) == (here.status(RATES).kind, waited > 0.3)

    @pytest.mark.parametrize("text", ["", "00000000 00000002\n{}", "rubbish", "\x00" * 4000, "deadbeef 00000001\n["])
    def test_a_file_that_cannot_be_read_stands_for_a_minute_of_full_use(self, machine: Machine, text: str) -> None:
        machine.take(machine.process(), 3)
        machine.path.write_text(text)
        limiter = machine.process()
        if not text:  # somebody emptied it, and nobody is there who remembers
            assert 0.0 == machine.take(limiter)
            return
        with pytest.warns(TrayportWarning, match="is damaged"):
            assert machine.take(limiter, 6) > 0.6

    def test_who_is_there_remembers_a_file_that_was_deleted(self, machine: Machine) -> None:
        limiter = machine.process()
        machine.take(limiter, 3)
        machine.path.unlink()

        assert 0.5 < machine.take(limiter) < 0.52

    def test_a_folder_that_cannot_be_made_leaves_half_the_limit_to_this_process(self, tmp_path: Path) -> None:
        (tmp_path / "limits").write_text("")
        machine = Machine(tmp_path)
        limiter = machine.process()
        with pytest.warns(TrayportWarning, match="cannot be used.*half the limit") as caught:
            waited = machine.take(limiter, 61)

        assert 1 == len(caught)
        assert 60 / 3 == pytest.approx(waited, rel=0.02)
        assert ("private", 0.5, None) == ((now := limiter.status(RATES)).kind, now.share, now.slowed_until)

    @posix_only
    @pytest.mark.skipif(os.name == "posix" and os.geteuid() == 0, reason="root may write anywhere")
    def test_a_folder_that_cannot_be_written_does_the_same(self, machine: Machine) -> None:
        machine.path.parent.mkdir(mode=0o500)
        with pytest.warns(TrayportWarning, match="cannot be used"):
            machine.take(machine.process())

    @posix_only
    def test_a_drive_without_locks_does_the_same_and_forgets_nothing(
        self, machine: Machine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import errno
        import fcntl

        limiter = machine.process()
        machine.take(limiter, 3)

        def none(handle: int, kind: int) -> None:
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

        monkeypatch.setattr(fcntl, "flock", none)
        with pytest.warns(TrayportWarning, match="cannot be used") as caught:
            waited = machine.take(limiter, 2)

        assert (1, True) == (len(caught), waited > 0.8)


# --- real processes --------------------------------------------------------------------------------------------------

# Forks children that use one limiter each, so that twenty of them do not import everything twenty times.
LOAD = """
import json, os, random, signal, sys, threading, time, warnings
from pathlib import Path
from trayport import Config
from trayport.limits import FileStore
from trayport.limits import RateLimiter
from trayport.limits import FallbackStore
warnings.simplefilter("error")
path, rates, stop = Path(sys.argv[1]), Config().rates, threading.Event()
ear, mouth = os.pipe()
def limiter_of():
    import pyrate_limiter, filelock
    return RateLimiter(store=FallbackStore(FileStore(path), "a file"))
def child(act):
    pid = os.fork()
    if pid:
        return pid
    try:
        act()
    finally:
        os._exit(0)
def load(number, bulk=True, threads=1):
    mine = limiter_of()
    def ask():
        while True:
            waited = mine.acquire(rates, stop, bulk=bulk)
            os.write(mouth, f"{number} {time.perf_counter()} {waited}\\n".encode())
    for _ in range(threads - 1):
        threading.Thread(target=ask, daemon=True).start()
    ask()
def end(pids):
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    os.close(mouth)
    with os.fdopen(ear) as lines:
        return [line.split() for line in lines]
"""


def script(text: str, path: Path, timeout: float = 60) -> Any:
    """What a process of its own prints."""
    done = subprocess.run(
        [sys.executable, "-c", LOAD + text, str(path)], capture_output=True, text=True, timeout=timeout
    )
    assert ("", 0) == (done.stderr, done.returncode)
    return json.loads(done.stdout)


def worst(moments: list[float], rate: Rate) -> float:
    return min(
        (later - earlier for earlier, later in zip(moments, moments[rate.count :], strict=False)), default=float("inf")
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "limits" / "key.json"


@needs_fork
def test_processes_share_the_limit_fairly_and_use_it(path: Path) -> None:
    took = script(
        """
pids = [child(lambda: load(number, threads=3)) for number in range(4)]
time.sleep(5.0)
print(json.dumps(end(pids)))
""",
        path,
    )
    stamps = [moment / 1000 for moment in state(path).permits]

    assert all(worst(stamps, rate) > rate.seconds for rate in RATES)
    assert len(took) <= len(stamps) <= len(took) + 4
    assert len(took) >= 0.6 * 30  # nearly all on a machine that is not busy; how much it is in `test_ledger`
    assert min(sum(number == str(each) for number, _, _ in took) for each in range(4)) >= len(took) / 4 / 2
    assert max(float(waited) for _, _, waited in took) < 4.5  # a round of twelve is two seconds


@needs_fork
def test_processes_that_are_killed_neither_block_the_others_nor_lose_the_count(path: Path) -> None:
    took = script(
        """
pids = [child(lambda: load(number)) for number in range(4)]
dice = random.Random(7)
for kill in range(20):
    time.sleep(dice.uniform(0.1, 0.5))
    number = dice.randrange(4)
    os.kill(pids[number], signal.SIGKILL)
    os.waitpid(pids[number], 0)
    pids[number] = child(lambda: load(number))
print(json.dumps(end(pids)))
""",
        path,
    )
    stamps = [moment / 1000 for moment in state(path).permits]
    gaps = [later - earlier for earlier, later in pairwise(stamps)]

    assert all(worst(stamps, rate) > rate.seconds for rate in RATES)
    assert len(took) <= len(stamps) <= len(took) + 24
    assert max(gaps) < 2.0  # a ticket of the dead costs the next one's place, and no more


@needs_fork
def test_a_question_of_another_process_waits_a_second_at_most_behind_a_load(path: Path) -> None:
    waits = script(
        """
pids = [child(lambda: load(number, threads=4)) for number in range(3)]
mine = limiter_of()
time.sleep(1.0)
waits = []
for _ in range(5):
    waits.append(mine.acquire(rates, stop))
    time.sleep(0.21)
end(pids)
print(json.dumps(waits))
""",
        path,
    )

    assert sorted(waits)[2] < 1.0
    assert max(waits) < 2.0  # twelve threads wait; in turn it would be two seconds


@needs_fork
def test_a_forked_child_has_a_ticket_of_its_own(path: Path) -> None:
    took = script(
        """
from trayport.limits import limiter_of
key = Config(path.parent.parent.name)
parent = limiter_of(key)
for _ in range(4):
    parent.acquire(rates, stop)
waiting = threading.Thread(target=lambda: [parent.acquire(rates, stop) for _ in range(6)])
waiting.start()
def ask():
    mine = limiter_of(key)
    assert mine is not parent
    for _ in range(4):
        mine.acquire(rates, stop)
    os.write(mouth, b"child 0 0\\n")
pid = child(ask)
os.waitpid(pid, 0)
waiting.join()
print(json.dumps([end([]), parent.status(rates).used, parent.status(rates).waiting]))
""",
        path,
    )

    assert [[["child", "0", "0"]], 14, 0] == took


def test_a_process_that_was_spawned_shares_it_too(path: Path) -> None:
    spawned = """
import sys, threading
from pathlib import Path
from trayport import Config
from trayport.limits import FileStore
from trayport.limits import RateLimiter
limiter = RateLimiter(store=FileStore(Path(sys.argv[1])))
for _ in range(3): limiter.acquire(Config().rates, threading.Event())
print(limiter.status(Config().rates).used)
"""
    command = [sys.executable, "-c", spawned, str(path)]
    first, second = (subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(2))

    assert ("3", "6") == (first.stdout.strip(), second.stdout.strip())


def test_threads_of_one_process_share_it_with_nobody_starving(path: Path) -> None:
    limiter, stop, counts = RateLimiter(store=FileStore(path)), threading.Event(), [0] * 6

    def ask(me: int) -> None:
        until = time.monotonic() + 3.0
        while time.monotonic() < until:
            limiter.acquire(RATES, stop)
            counts[me] += 1

    threads = [threading.Thread(target=ask, args=(me,)) for me in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert max(counts) - min(counts) <= 4  # the first three come at once, and may be of one thread


@pytest.fixture(autouse=True)
def _no_gate_outlives_its_test() -> Iterator[None]:
    from trayport.limits import limiter as limits

    yield
    limits._limiters.clear()
