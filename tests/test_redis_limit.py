"""One rate limit for several machines, by a fake Redis and a real one."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import Any

import fakeredis
import pytest
import redis

from trayport import Config, ConfigError, TrayportWarning
from trayport.config import Rate
from trayport.limits import FallbackStore, RateLimiter, RateState, RedisStore, StoreUnavailable, Wait, limiter_of
from trayport.limits.redis import connect

pytestmark = pytest.mark.xdist_group("limits")

RATES = Config().rates


@pytest.fixture
def server() -> fakeredis.FakeServer:
    return fakeredis.FakeServer()


def machine(server: fakeredis.FakeServer, name: str = "limit") -> RateLimiter:
    """Return the limiter of another machine."""
    return RateLimiter(store=FallbackStore(RedisStore(name, fakeredis.FakeRedis(server=server)), "Redis"))


def test_permits_of_one_machine_count_for_the_next(server: fakeredis.FakeServer) -> None:
    one, other, stop = machine(server), machine(server), threading.Event()
    began = time.monotonic()
    for _ in range(3):
        one.acquire(RATES, stop)
    waits, wait = recorded_waits()
    other.acquire(RATES, stop, wait)

    assert time.monotonic() - began > 0.5
    assert sum(waits) < 0.6
    assert ("redis", 4) == ((status := one.status(RATES)).kind, status.used)


def recorded_waits() -> tuple[list[float], Wait]:
    """Return a wait, and the list of the seconds that it is called with."""
    waits: list[float] = []

    def wait(stop: threading.Event, seconds: float) -> None:
        waits.append(seconds)
        stop.wait(seconds)

    return waits, wait


def test_two_keys_do_not_disturb_each_other(server: fakeredis.FakeServer) -> None:
    one, other, stop = machine(server, "a"), machine(server, "b"), threading.Event()
    for _ in range(3):
        one.acquire(RATES, stop)

    waits, wait = recorded_waits()
    other.acquire(RATES, stop, wait)

    assert [] == waits


def test_a_refusal_slows_other_machines(server: fakeredis.FakeServer) -> None:
    one, other = machine(server), machine(server)
    one.slow_down()

    assert 0.5 == other.status(RATES).share


def test_a_transaction_that_meets_another_one_is_repeated(server: fakeredis.FakeServer) -> None:
    other = RedisStore("limit", fakeredis.FakeRedis(server=server))
    store, calls = RedisStore("limit", fakeredis.FakeRedis(server=server)), list[int]()

    def read(state: RateState, now: int) -> int:
        calls.append(now)
        if len(calls) == 1:
            other.transact(lambda state, now: state.pause(5000, now))
        return state.paused_until

    assert store.transact(read) >= calls[0] + 5000
    assert 2 == len(calls)


def test_a_clock_that_is_set_back_opens_no_window(server: fakeredis.FakeServer) -> None:
    client = fakeredis.FakeRedis(server=server)
    store = RedisStore("limit", client)
    store.transact(lambda state, now: [state.take("x", False, RATES, now) for _ in range(3)])
    state, extra = RateState.from_json(client.get("limit"))
    state.shift(3_600_000)
    client.set("limit", state.to_json(now=extra["now"] + 3_600_000))

    assert 400 < store.transact(lambda state, now: state.take("x", False, RATES, now)) <= 509


@pytest.mark.parametrize("text", ["rubbish", "{}", "[1]"])
def test_another_value_leaves_half_the_limit_to_this_process(server: fakeredis.FakeServer, text: str) -> None:
    fakeredis.FakeRedis(server=server).set("limit", text)
    limiter, stop, began = machine(server), threading.Event(), time.monotonic()
    with pytest.warns(TrayportWarning, match="shares in Redis cannot be used.*half the limit"):
        limiter.acquire(RATES, stop)
    waits, wait = recorded_waits()
    limiter.acquire(RATES, stop, wait)

    assert time.monotonic() - began > 0.3  # half of the limit is a permit every third of a second
    assert sum(waits) < 0.6
    assert ("private", 0.5) == ((status := limiter.status(RATES)).kind, status.share)


def test_a_server_that_goes_away_leaves_half_the_limit_to_this_process(server: fakeredis.FakeServer) -> None:
    limiter, stop = machine(server), threading.Event()
    began = time.monotonic()
    for _ in range(3):
        limiter.acquire(RATES, stop)
    server.connected = False
    waits, wait = recorded_waits()
    with pytest.warns(TrayportWarning, match="ConnectionError"):
        limiter.acquire(RATES, stop, wait)

    assert time.monotonic() - began > 0.5
    assert sum(waits) < 0.6


def test_a_missing_server_is_unavailable() -> None:
    with pytest.raises(StoreUnavailable, match="ConnectionError"):
        RedisStore("limit", connect("redis://127.0.0.1:1/0")).transact(lambda state, now: None)


def test_without_the_package_the_error_names_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ConfigError, match=r"pip install 'trayport\[redis\]'"):
        limiter_of(Config(token_hex(8), limiter="redis://127.0.0.1:1/0"))


def test_the_password_is_not_shown() -> None:
    config = Config("a", limiter="rediss://user:canary@redis.example:6379/0")

    assert "limiter='rediss://***@redis.example:6379/0'" in repr(config)
    for wrong in ("redis://user:canary@", "http://user:canary@host"):
        with pytest.raises(ConfigError) as caught:
            Config("a", limiter=wrong)
        assert "canary" not in str(caught.value)


@pytest.fixture
def real(tmp_path: Path) -> Iterator[str]:
    """Return the URL of a Redis on this machine, if it is installed."""
    command = shutil.which("redis-server")
    if command is None:
        pytest.skip("redis-server is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    process = subprocess.Popen([command, *settings], stdout=subprocess.DEVNULL)
    client = redis.Redis(port=port)
    until = time.monotonic() + 20
    while time.monotonic() < until:
        with suppress(redis.ConnectionError):
            client.ping()
            break
        time.sleep(0.02)
    client.close()
    yield f"redis://127.0.0.1:{port}/0"
    process.terminate()
    process.wait(20)


WORKER = """
import sys, threading, time
from trayport import Config
from trayport.limits import limiter_of
config = Config("key", limiter=sys.argv[1])
limiter, stop, count, end = limiter_of(config), threading.Event(), 0, time.monotonic() + 4.0
while time.monotonic() < end:
    limiter.acquire(config.rates, stop)
    count += 1
print(count)
"""


def test_processes_share_a_real_server_fairly(real: str) -> None:
    workers: list[Any] = [
        subprocess.Popen([sys.executable, "-c", WORKER, real], stdout=subprocess.PIPE, text=True, env={**os.environ})
        for _ in range(3)
    ]
    counts = [int(worker.communicate(timeout=60)[0]) for worker in workers]
    config = Config("key", limiter=real)
    client = connect(real)
    (name,) = client.keys("trayport:limit:*")
    moments = [moment / 1000 for moment in RateState.from_json(client.get(name))[0].permits]
    client.close()

    assert f"trayport:limit:analytics.trayport.com-{config.require_key().digest}" == name.decode()
    assert sum(counts) == len(moments)
    assert min(counts) >= len(moments) / 3 / 2
    for rate in (Rate(3, 0.5), Rate(6, 1.0)):
        assert all(two - one > rate.seconds for one, two in zip(moments, moments[rate.count :], strict=False))
