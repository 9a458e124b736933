"""What every test, and every example in a docstring, runs in: no settings of this machine, and a sandbox."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from diskcache.core import DEFAULT_SETTINGS
from support import canary, profiles

from trayport import configure
from trayport.api import DEFAULT
from trayport.config import Config, settings_file
from trayport.limits import state_file
from trayport.refdata import Cache
from trayport.sandbox import KEYS, OTHERS, Rights, Sandbox

_ITS_KEY: dict[str, Any] = {"key": canary.KEY, "keys": {**KEYS, canary.KEY: Rights()}}


def pytest_configure(config: pytest.Config) -> None:
    """Nothing that a run says or writes may show its key."""
    profiles.load()
    config.pluginmanager.register(canary)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a file in one process, where they share fixtures, unless a group of theirs is named."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(str(item.path)))


def pytest_collection_finish() -> None:
    """What was imported and collected stays to the end: nobody need go through it, again and again, for garbage."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@pytest.fixture(scope="session", autouse=True)
def _nobody_at_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A home without settings, caches or keys, and an environment without proxies, or disks to wait for."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("TRAYPORT_") or name.lower().endswith("_proxy"):
                patch.delenv(name)
        folders = ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME", "LOCALAPPDATA", "APPDATA")
        for name in ("HOME", "USERPROFILE", *folders):
            patch.setenv(name, str(home))
        # On Windows platformdirs asks the system, unless it is told otherwise.
        for name in ("WIN_PD_OVERRIDE_LOCAL_APPDATA", "WIN_PD_OVERRIDE_APPDATA"):
            patch.setenv(name, str(home))
        for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
            patch.delenv(name, raising=False)
        # What a test keeps need not outlast a power cut, so no test waits until a disk has it.
        patch.setitem(DEFAULT_SETTINGS, "sqlite_synchronous", 0)
        patch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")  # never that of whoever tests
        assert settings_file().is_relative_to(home)
        assert Cache().folder.is_relative_to(home)
        assert state_file(Config("key")).is_relative_to(home)
        yield


@pytest.fixture(scope="session", autouse=True)
def _ctrl_c_works() -> None:
    """What a shell starts in the background ignores it, and hands that on to what it starts."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--switches 1`` turns every switch of the sandbox that the client is tested with to another position."""
    turns = range(len(OTHERS) + 1)
    parser.addoption("--switches", type=int, choices=turns, default=0, help="0: as they are; 1 to 3: all others")


@pytest.fixture(scope="session")
def _plain() -> Iterator[Sandbox]:
    with Sandbox(limits=False, **_ITS_KEY) as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def _switched(pytestconfig: pytest.Config) -> Iterator[Sandbox]:
    with Sandbox(limits=False, **_ITS_KEY, **OTHERS[pytestconfig.getoption("--switches") - 1]) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    """One sandbox without limits for the whole run; what it was asked so far is not a test's own.

    Its own tests see it with its switches as they are, all others as the command line says.
    """
    own = "sandbox" in Path(request.module.__file__).parts[-2:]
    name = "_plain" if own or not request.config.getoption("--switches") else "_switched"
    found: Sandbox = request.getfixturevalue(name)
    return found


@pytest.fixture(scope="session")
def _of_all_docstrings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Config, Path]]:
    """What leads to one sandbox, whose names are looked up once, and a folder for what they write."""
    with Sandbox(limits=False) as server:
        cache, folder = tmp_path_factory.mktemp("cache"), tmp_path_factory.mktemp("docstrings")
        yield Config(**server.settings, limiter="off", cache_dir=cache), folder


@pytest.fixture(autouse=True)
def _docstrings_run_in_a_sandbox(request: pytest.FixtureRequest) -> Iterator[None]:
    if isinstance(request.node, pytest.DoctestItem):
        config, folder = request.getfixturevalue("_of_all_docstrings")
        with DEFAULT.temporarily_configured(), contextlib.chdir(folder):
            configure(config=config)
            yield
    else:
        yield
