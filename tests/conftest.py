"""Fixtures of several test modules: clients of the shared sandbox, which has no rate limit, and sessions."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support.bench import Bench, MakeBench
from support.wire import Response, Wire

from trayport import Client, Config
from trayport.sandbox import Sandbox

MakeClient = Callable[..., Client]


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the cache of all tests on the shared sandbox."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def make_client(sandbox: Sandbox, cache_dir: Path) -> Iterator[MakeClient]:
    """Return a function that makes clients of a sandbox, by default the shared one; they are closed after the test."""
    with ExitStack() as stack:

        def make(at: Sandbox = sandbox, /, **settings: Any) -> Client:
            given = {"limiter": "off", "cache_dir": cache_dir, **at.settings, **settings}
            hooks, clock = given.pop("hooks", ()), given.pop("clock", None)
            more = {"clock": clock} if clock else {}
            return stack.enter_context(Client(config=Config(**given), hooks=hooks, **more))

        yield make


@pytest.fixture(scope="module")
def client(sandbox: Sandbox, cache_dir: Path) -> Iterator[Client]:
    """Return a client of the shared sandbox; a test that changes a client makes one with ``make_client``."""
    with Client(config=Config(**{"limiter": "off", "cache_dir": cache_dir, **sandbox.settings})) as made:
        yield made


@pytest.fixture
def asked(sandbox: Sandbox) -> Callable[[], list[Any]]:
    """Return a function for the requests to the Analytics API of the shared sandbox since the test began."""
    before = len(sandbox.asked)
    return lambda: [request for request in sandbox.asked[before:] if request.api == "/api"]


@pytest.fixture
def make_bench() -> Iterator[MakeBench]:
    """Return a function that makes sessions for socket servers; they are closed after the test."""
    with ExitStack() as stack:

        def make(*responses: Response, **settings: Any) -> Bench:
            bench = Bench(stack.enter_context(Wire(*responses)), **{"limiter": "off", **settings})
            stack.callback(bench.session.close)
            return bench

        yield make


@pytest.fixture
def _hasty() -> Iterator[None]:
    """Let threads switch every microsecond."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)
