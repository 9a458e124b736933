"""The environment of every test and docstring example: no settings of this machine, and a sandbox."""

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
    """Load the number of examples, and search the output of the run for its key."""
    profiles.load()
    config.pluginmanager.register(canary)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a file in one process, where they share fixtures, unless a group of theirs is named."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(str(item.path)))


def pytest_collection_finish() -> None:
    """Exempt imported modules and collected tests from garbage collection, since they stay until the end."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@pytest.fixture(scope="session", autouse=True)
def _isolated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """An empty home and an environment without settings and proxies."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("TRAYPORT_") or name.lower().endswith("_proxy"):
                patch.delenv(name)
        folders = ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME", "LOCALAPPDATA", "APPDATA")
        for name in ("HOME", "USERPROFILE", *folders):
            patch.setenv(name, str(home))
        # On Windows platformdirs asks the system unless these variables are set.
        for name in ("WIN_PD_OVERRIDE_LOCAL_APPDATA", "WIN_PD_OVERRIDE_APPDATA"):
            patch.setenv(name, str(home))
        for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
            patch.delenv(name, raising=False)
        # Files of tests need not survive a power cut, so tests do not wait for the disk.
        patch.setitem(DEFAULT_SETTINGS, "sqlite_synchronous", 0)
        patch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")  # not the keyring of the developer
        assert settings_file().is_relative_to(home)
        assert Cache().folder.is_relative_to(home)
        assert state_file(Config("key")).is_relative_to(home)
        yield


@pytest.fixture(scope="session", autouse=True)
def _ctrl_c_works() -> None:
    """Restore Ctrl-C, which processes that a shell starts in the background ignore, and so do their children."""
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
    """One sandbox without rate limits for the whole run; its record includes requests of earlier tests.

    The sandbox's own tests use the default position of its switches, all others that of the command line.
    """
    own = "sandbox" in Path(request.module.__file__).parts[-2:]
    name = "_plain" if own or not request.config.getoption("--switches") else "_switched"
    found: Sandbox = request.getfixturevalue(name)
    return found


@pytest.fixture(scope="session")
def _of_all_docstrings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Config, Path]]:
    """Settings of one sandbox whose reference data are cached, and a folder for files that examples write."""
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
