"""One rate limit for all processes of a user that share a key, by a file, and the failures of that file."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
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

pytestmark = pytest.mark.xdist_group("limits")

RATES = Config().rates
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
posix_only = pytest.mark.skipif(os.name != "posix", reason="Windows has other permissions and locks")


class Machine:
    """A state file, and the clocks and the boot identity of a machine, which a test sets by hand."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "limits" / "host-digest.json"
        self.up, self.wall, self.boot = Clock(5000.0), Clock(1.7e9), "one"

    def process(self) -> RateLimiter:
        """Return the limiter of another process of this machine."""
        store = FileStore(self.path, self.up, self.wall, lambda: self.boot)
        return RateLimiter(self.up, FallbackStore(store, "a file", self.up))

    def wait(self, stop: threading.Event, seconds: float) -> None:
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        self.up.now += seconds
        self.wall.now += seconds

    def take(self, limiter: RateLimiter, count: int = 1, rates: tuple[Rate, ...] = RATES) -> float:
        """Take permits and return the seconds waited."""
        return sum(limiter.acquire(rates, threading.Event(), self.wait) for _ in range(count))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


class TestOneFile:
    """Processes see the permits of each other."""

    def test_permits_of_one_process_count_for_the_next(self, machine: Machine) -> None:
        machine.take(machine.process(), 3)

        assert 0.5 < machine.take(machine.process()) < 0.52

    def test_a_pause_delays_other_processes(self, machine: Machine) -> None:
        one, other = machine.process(), machine.process()
        one.pause(12.0)

        assert 12.0 == machine.take(other)

    def test_a_refusal_slows_other_processes(self, machine: Machine) -> None:
        one, other = machine.process(), machine.process()
        one.slow_down()

        assert 60 / 3 == pytest.approx(machine.take(other, 61), rel=0.02)
        assert 40 / 6 > machine.take(other, 40) * 0.6
        machine.advance(80)
        assert 0.0 == machine.take(other, 3)

    def test_only_its_owner_may_read_it(self, machine: Machine) -> None:
        machine.take(machine.process())
        names = {path.name for path in machine.path.parent.iterdir()}

        assert {"host-digest.json", "host-digest.lock"} == names
        if os.name == "posix":
            modes = [path.stat().st_mode & 0o777 for path in (machine.path.parent, *machine.path.parent.iterdir())]
            assert [0o700, 0o600, 0o600] == modes

    def test_a_cancelled_thread_leaves_no_ticket(self, machine: Machine) -> None:
        limiter, stop = machine.process(), threading.Event()
        machine.take(limiter, 3)
        with pytest.raises(Cancelled):
            limiter.acquire(RATES, stop, lambda stop, seconds: stop.set())

        assert {} == state(machine.path).tickets

    def test_files_that_were_not_used_for_a_week_are_deleted(self, machine: Machine) -> None:
        machine.take(machine.process())
        other = machine.path.with_name("other.json")
        for old in ("old.json", "old.lock"):
            (machine.path.parent / old).write_text("")
            os.utime(machine.path.parent / old, (0, 0))
        RateLimiter(store=FileStore(other)).acquire(RATES, threading.Event())

        assert {machine.path.stem, "other"} == {path.stem for path in machine.path.parent.iterdir()}

    def test_it_holds_about_a_minute_of_permits(self, machine: Machine) -> None:
        machine.take(machine.process(), 450)

        assert len(state(machine.path).permits) < 400
        assert machine.path.stat().st_size < 6000


def state(path: Path) -> RateState:
    """Return the state in a file."""
    return RateState.from_json(read_overwritten(path))[0]


class TestStateFile:
    """The file in the user's state folder, named by host and digest of the key."""

    def test_its_name_has_the_host_and_the_digest_for_any_cache_folder(self, tmp_path: Path) -> None:
        one = Config("canary-key")
        others = [Config("canary-key", cache_dir=tmp_path), Config("canary-key", per_second=2)]

        assert {state_file(one)} == {state_file(other) for other in others}
        assert f"analytics.trayport.com-{one.require_key().digest}.json" == state_file(one).name
        assert state_file(one) != state_file(Config("another"))

    def test_any_host_gives_a_valid_name(self) -> None:
        here = Config("key", analytics_url="http://[::1]:8080/api")

        assert re.fullmatch(r"[\w.-]+\.json", state_file(here).name)

    def test_neither_its_name_nor_its_content_holds_the_key(self) -> None:
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


class TestFailures:
    """Any failure costs one warning, and never makes the limiter faster."""

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
        machine.take(limiter)  # without a second warning

        assert 0.5 < waited < 0.52

    def test_a_wall_clock_that_is_set_changes_nothing(self, machine: Machine) -> None:
        limiter = machine.process()
        machine.take(limiter, 3)
        machine.wall.now += 7200
        assert 0.5 < machine.take(limiter) < 0.52
        machine.advance(7200)
        machine.wall.now -= 3600
        assert 0.0 == machine.take(limiter, 3)

    def test_a_night_later_no_permit_counts(self, machine: Machine) -> None:
        machine.take(machine.process(), 100)
        machine.advance(40_000)

        assert 0.0 == machine.take(machine.process(), 3)

    def test_after_a_restart_the_last_minute_counts_as_just_over_without_a_warning(self, machine: Machine) -> None:
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
    def test_a_damaged_file_counts_as_a_minute_of_full_use(self, machine: Machine, text: str) -> None:
        machine.take(machine.process(), 3)
        machine.path.write_text(text)
        limiter = machine.process()
        if not text:  # an empty file is a new one
            assert 0.0 == machine.take(limiter)
            return
        with pytest.warns(TrayportWarning, match="is damaged"):
            assert machine.take(limiter, 6) > 0.6

    def test_a_running_process_remembers_a_file_that_was_deleted(self, machine: Machine) -> None:
        limiter = machine.process()
        machine.take(limiter, 3)
        machine.path.unlink()

        assert 0.5 < machine.take(limiter) < 0.52

    def test_without_a_folder_this_process_gets_half_the_limit(self, tmp_path: Path) -> None:
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
    def test_in_a_read_only_folder_too(self, machine: Machine) -> None:
        machine.path.parent.mkdir(mode=0o500)
        with pytest.warns(TrayportWarning, match="cannot be used"):
            machine.take(machine.process())

    @posix_only
    def test_on_a_drive_without_locks_too_and_permits_still_count(
        self, machine: Machine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import errno
        import fcntl

        limiter = machine.process()
        machine.take(limiter, 3)

        def no_locks(handle: int, kind: int) -> None:
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

        monkeypatch.setattr(fcntl, "flock", no_locks)
        with pytest.warns(TrayportWarning, match="cannot be used") as caught:
            waited = machine.take(limiter, 2)

        assert (1, True) == (len(caught), waited > 0.8)


# --- real processes --------------------------------------------------------------------------------------------------

# One process imports the package and runs each scenario in a forked child of its own, which saves an import of a second
# each. A line of input is a scenario and its state file; a line of output is its result, or null if it failed.
SERVER = """
import json, os, random, signal, sys, threading, time, traceback, warnings
from pathlib import Path
import filelock, pyrate_limiter
from trayport import Config
from trayport.limits import FallbackStore, FileStore, RateLimiter, limiter_of
warnings.simplefilter("error")
warnings.simplefilter("ignore", DeprecationWarning)  # of Python 3.12, for a fork beside threads
rates, stop = Config().rates, threading.Event()
def new_limiter():
    return RateLimiter(store=FallbackStore(FileStore(path), "a file"))
def fork(function):
    pid = os.fork()
    if pid:
        return pid
    try:
        function()
    finally:
        os._exit(0)
def load(number, threads=1):
    limiter = new_limiter()
    def acquire():
        while True:
            began = time.perf_counter()
            limiter.acquire(rates, stop, bulk=True)
            os.write(writer, f"{number} {began} {time.perf_counter()}\\n".encode())
    for _ in range(threads - 1):
        threading.Thread(target=acquire, daemon=True).start()
    acquire()
def permits(count):
    return [[float(value) for value in lines.readline().split()] for _ in range(count)]
def kill(pids):
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    os.close(writer)
    return [[float(value) for value in line.split()] for line in lines]
for line in sys.stdin:
    scenario, name = json.loads(line)
    path = Path(name)
    pid = os.fork()
    if pid:
        if os.waitpid(pid, 0)[1]:
            print("null", flush=True)
        continue
    try:
        signal.alarm(120)
        reader, writer = os.pipe()
        lines = os.fdopen(reader)
        exec(scenario)
        print(json.dumps(result), flush=True)
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
"""

Run = Callable[[str], Any]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str, Path], Any]]:
    errors = tmp_path_factory.mktemp("server") / "errors"
    with errors.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file, text=True
        )
    assert process.stdin is not None
    assert process.stdout is not None

    def run(scenario: str, path: Path) -> Any:
        print(json.dumps([scenario, str(path)]), file=process.stdin, flush=True)
        result = json.loads(process.stdout.readline() or "null")  # type: ignore[union-attr]
        assert "" == errors.read_text()
        return result

    yield run
    process.stdin.close()
    process.wait(60)
    process.stdout.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "limits" / "key.json"


@pytest.fixture
def run(server: Callable[[str, Path], Any], path: Path) -> Run:
    """Run a scenario in a process of its own and return its ``result``."""
    return lambda scenario: server(scenario, path)


def shortest(moments: list[float], rate: Rate) -> float:
    """Return the shortest time that held more permits than the rate allows; infinity if there was none."""
    return min(
        (later - earlier for earlier, later in zip(moments, moments[rate.count :], strict=False)), default=float("inf")
    )


def permits_meanwhile(began: float, ended: float, permits: list[list[float]]) -> int:
    """Return the number of permits that were in hand between two moments."""
    return sum(began < moment < ended for _, _, moment in permits)


@needs_fork
def test_processes_share_the_limit_fairly(run: Run, path: Path) -> None:
    permits = run(
        """
pids = [fork(lambda: load(number, threads=3)) for number in range(4)]
result = permits(30)
result += kill(pids)
"""
    )
    moments = [moment / 1000 for moment in state(path).permits]

    assert all(shortest(moments, rate) > rate.seconds for rate in RATES)
    assert len(permits) <= len(moments) <= len(permits) + 4
    assert min(sum(number == each for number, _, _ in permits) for each in range(4)) >= len(permits) / 4 / 2
    # Twelve threads take turns, so that a wait of two rounds is too long.
    assert max(permits_meanwhile(began, ended, permits) for _, began, ended in permits) <= 27


@needs_fork
def test_killed_processes_neither_block_the_others_nor_lose_the_count(run: Run, path: Path) -> None:
    permits = run(
        """
pids = [fork(lambda: load(number)) for number in range(4)]
chance = random.Random(7)
for _ in range(12):
    time.sleep(chance.uniform(0.1, 0.5))
    number = chance.randrange(4)
    os.kill(pids[number], signal.SIGKILL)
    os.waitpid(pids[number], 0)
    pids[number] = fork(lambda: load(number))
result = permits(20)
result += kill(pids)
"""
    )
    moments = [moment / 1000 for moment in state(path).permits]

    assert all(shortest(moments, rate) > rate.seconds for rate in RATES)
    assert len(permits) <= len(moments) <= len(permits) + 16


@needs_fork
def test_a_single_request_of_another_process_passes_bulk_loads(run: Run) -> None:
    singles, permits = run(
        """
pids = [fork(lambda: load(number, threads=4)) for number in range(3)]
limiter = new_limiter()
before, singles = permits(6), []
for _ in range(5):
    began = time.perf_counter()
    limiter.acquire(rates, stop)
    singles.append([began, time.perf_counter()])
    time.sleep(0.21)
result = singles, before + kill(pids)
"""
    )
    passed = sorted(permits_meanwhile(began, ended, permits) for began, ended in singles)

    assert passed[2] <= 6  # a second
    assert passed[-1] < 12  # twelve threads wait; in turn, each of them would get a permit first


@needs_fork
def test_a_forked_child_has_its_own_ticket(run: Run, path: Path) -> None:
    result = run(
        """
key = Config(path.parent.parent.name)
parent = limiter_of(key)
for _ in range(4):
    parent.acquire(rates, stop)
waiting = threading.Thread(target=lambda: [parent.acquire(rates, stop) for _ in range(6)])
waiting.start()
def acquire():
    mine = limiter_of(key)
    assert mine is not parent
    for _ in range(4):
        mine.acquire(rates, stop)
    os.write(writer, b"1 0 0\\n")
pid = fork(acquire)
os.waitpid(pid, 0)
waiting.join()
result = kill([]), parent.status(rates).used, parent.status(rates).waiting
"""
    )

    assert [[[1, 0, 0]], 14, 0] == result


def test_a_spawned_process_shares_it_too(path: Path) -> None:
    spawned = """
import sys, threading
from pathlib import Path
from trayport import Config
from trayport.limits import FileStore, RateLimiter
limiter = RateLimiter(store=FileStore(Path(sys.argv[1])))
for _ in range(3): limiter.acquire(Config().rates, threading.Event())
print(limiter.status(Config().rates).used)
"""
    limiter = RateLimiter(store=FileStore(path))
    for _ in range(3):
        limiter.acquire(RATES, threading.Event())
    first = limiter.status(RATES).used
    second = subprocess.run(
        [sys.executable, "-c", spawned, str(path)], capture_output=True, text=True, check=True, timeout=120
    )

    assert (3, "6") == (first, second.stdout.strip())


def test_threads_of_one_process_share_it_fairly(path: Path) -> None:
    limiter, stop, counts = RateLimiter(store=FileStore(path)), threading.Event(), [0] * 6

    def load(number: int) -> None:
        while sum(counts) < 20:
            limiter.acquire(RATES, stop)
            counts[number] += 1

    threads = [threading.Thread(target=load, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert max(counts) - min(counts) <= 4  # the first three come at once, and may be of one thread


@pytest.fixture(autouse=True)
def _forget_limiters() -> Iterator[None]:
    """Let each test begin with new limiters."""
    from trayport.limits.limiter import _limiters

    yield
    _limiters.clear()
