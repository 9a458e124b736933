"""The key: where it is looked for, who else may see it there, and that nothing repeats it."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from support import canary
from support.fake import Clock
from support.wire import Wire, http, reset

import trayport
from trayport import Config, ConfigError, TrayportWarning, _redact
from trayport.config import Secret, permissions, settings_file
from trayport.config.keyring import from_keyring
from trayport.endpoints import TRADES, Request
from trayport.transport import Session

KEY = "hush-4b1d!77/e0+9"
posix = pytest.mark.skipif(os.name == "nt", reason="Windows has access lists instead")


# --- files -------------------------------------------------------------------------------------------------------


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], Path]:
    """Writes the settings file with a mode."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "it's here"))

    def write(text: str, mode: int) -> Path:
        path = settings_file()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)
        return path

    return write


@posix
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620, 0o666])
def test_a_key_file_that_others_can_read_is_refused_with_the_command_to_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mode: int
) -> None:
    path = tmp_path / "the key"
    path.write_text(KEY, encoding="utf-8")
    path.chmod(mode)
    monkeypatch.setenv("TRAYPORT_API_KEY_FILE", str(path))
    with pytest.raises(ConfigError, match="holds a key, and others than its owner can read it") as caught:
        Config.load()

    assert KEY not in str(caught.value)
    command = str(caught.value).partition("run: ")[2]
    subprocess.run(command, shell=True, check=True)
    assert Secret(KEY) == Config.load().api_key


@posix
@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_key_file_of_its_owner_alone_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    path.write_text(KEY, encoding="utf-8")
    path.chmod(mode)
    monkeypatch.setenv("TRAYPORT_API_KEY_FILE", str(path))

    assert Secret(KEY) == Config.load().api_key


@posix
@pytest.mark.parametrize("text", ['api_key = "x12345"', '[profiles.night]\napi_key = "x12345"'])
def test_a_settings_file_with_a_key_that_others_can_read_is_refused(
    settings: Callable[[str, int], Path], text: str
) -> None:
    settings(text, 0o644)
    with pytest.raises(ConfigError, match="the settings file .* holds a key, and others") as caught:
        Config.load("another")

    subprocess.run(str(caught.value).partition("run: ")[2], shell=True, check=True)
    Config.load("another")


@posix
def test_a_settings_file_that_others_can_change_is_refused_whatever_it_says(
    settings: Callable[[str, int], Path],
) -> None:
    settings('analytics_url = "https://elsewhere.example"', 0o664)
    with pytest.raises(ConfigError, match="decides where the key is sent, .* its owner can change it; run:"):
        Config.load()


@posix
def test_a_settings_file_without_a_key_may_be_read_by_others(settings: Callable[[str, int], Path]) -> None:
    settings('tz = "Europe/Paris"', 0o644)

    assert "Europe/Paris" == Config.load().tz


def test_the_key_of_a_profile_is_taken(settings: Callable[[str, int], Path]) -> None:
    settings('api_key = "of-all-of-us"\n[profiles.night]\napi_key = "of-the-night"', 0o600)

    assert ("of-all-of-us", "of-the-night") == (
        Config.load().require_key().reveal(),
        Config.load(profile="night").require_key().reveal(),
    )


class TestWindows:
    """Access lists, as Windows writes them down."""

    HOME = "D:AI(A;ID;FA;;;SY)(A;ID;FA;;;BA)(A;ID;FA;;;S-1-5-21-1004336348-1177238915-682003330-1001)"

    @pytest.mark.parametrize(
        "sddl, read, changed",
        [
            pytest.param(HOME, False, False, id="in-a-users-home"),
            pytest.param("O:BAG:SYD:PAI(A;;FA;;;S-1-5-21-1-2-3-1001)", False, False, id="owner-alone"),
            pytest.param(HOME + "(A;ID;0x1200a9;;;BU)", True, False, id="users-read"),
            pytest.param(HOME + "(A;ID;FR;;;WD)", True, False, id="everyone-reads"),
            pytest.param(HOME + "(A;;0x1301bf;;;AU)", True, True, id="who-logs-in-changes"),
            pytest.param(HOME + "(A;;FA;;;S-1-1-0)", True, True, id="everyone-spelled-out"),
            pytest.param(HOME + "(A;;GW;;;WD)", True, True, id="everyone-writes"),
            pytest.param(HOME + "(A;;WD;;;BU)", True, True, id="users-change-the-list"),
            pytest.param(HOME + "(A;OICIIO;FA;;;WD)", False, False, id="only-what-is-made-below"),
            pytest.param(HOME + "(D;;FA;;;WD)", False, False, id="denied"),
            pytest.param(HOME + "(A;;FA;;;S-1-5-21-1-2-3-1002)", False, False, id="a-colleague"),
            pytest.param(HOME + "(A;;0x100000;;;WD)", False, False, id="nothing-that-matters"),
            pytest.param("D:NO_ACCESS_CONTROL", True, True, id="no-list"),
            pytest.param("", False, False, id="a-drive-without-lists"),
        ],
    )
    def test_a_list_that_lets_a_crowd_in_is_told_from_one_that_does_not(
        self, sddl: str, read: bool, changed: bool
    ) -> None:
        assert (read, changed) == (
            permissions.is_open_list(sddl, write_only=False),
            permissions.is_open_list(sddl, write_only=True),
        )

    def test_the_command_is_windows_own(self, monkeypatch: pytest.MonkeyPatch) -> None:
        path = Path("some") / "the key.txt"
        monkeypatch.setattr("os.name", "nt")
        monkeypatch.setattr("getpass.getuser", lambda: "anna")

        assert f'icacls "{path}" /inheritance:r /grant:r "anna:F"' == permissions.owner_only_command(path)


# --- the keyring -------------------------------------------------------------------------------------------------


class Keyring:
    """Stands in for the package ``keyring``; with ``trouble`` it cannot answer."""

    def __init__(self, passwords: dict[str, str], backend: str, trouble: Exception | None) -> None:
        self.asked: list[tuple[str, str]] = []
        self.passwords, self.backend, self.trouble = passwords, backend, trouble

    def get_keyring(self) -> object:
        return type("Backend", (), {"__module__": self.backend})()

    def get_password(self, service: str, name: str) -> str | None:
        self.asked.append((service, name))
        if self.trouble:
            raise self.trouble
        return self.passwords.get(name)


MakeKeyring = Callable[..., Keyring]


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> MakeKeyring:
    """Makes a keyring, in a terminal or not."""

    def make(
        passwords: dict[str, str] | None = None,
        terminal: bool = True,
        backend: str = "keyring.backends.SecretService",
        trouble: Exception | None = None,
    ) -> Keyring:
        made = Keyring(passwords or {}, backend, trouble)
        module: Any = types.ModuleType("keyring")
        module.__spec__ = object()
        module.get_keyring, module.get_password = made.get_keyring, made.get_password
        monkeypatch.setitem(sys.modules, "keyring", module)
        monkeypatch.setattr("sys.stdin", types.SimpleNamespace(isatty=lambda: terminal, closed=False))
        return made

    return make


def test_a_key_that_is_nowhere_else_is_looked_for_in_the_keyring(keyring: MakeKeyring) -> None:
    made = keyring({"api_key": KEY})

    assert Secret(KEY) == Config.load().api_key
    assert [("trayport", "api_key")] == made.asked


def test_the_keyring_is_asked_last(
    keyring: MakeKeyring, monkeypatch: pytest.MonkeyPatch, settings: Callable[[str, int], Path]
) -> None:
    made = keyring({"api_key": KEY})
    path = settings('api_key = "from-the-file"', 0o600)

    assert Secret("from-the-file") == Config.load().api_key
    path.unlink()
    assert Secret("given-in-code") == Config.load("given-in-code").api_key
    monkeypatch.setenv("TRAYPORT_API_KEY", "from-outside")
    assert Secret("from-outside") == Config.load().api_key
    assert [] == made.asked


def test_a_profile_may_have_a_key_of_its_own_in_the_keyring(
    keyring: MakeKeyring, settings: Callable[[str, int], Path]
) -> None:
    settings("[profiles.night]\n[profiles.day]", 0o600)
    keyring({"api_key": "everybodys", "night": "the-nights"})

    assert ["the-nights", "everybodys"] == [
        Config.load(profile=name).require_key().reveal() for name in ("night", "day")
    ]


@pytest.mark.parametrize(
    "terminal, backend, asked",
    [
        pytest.param(True, "keyring.backends.SecretService", True, id="in-a-terminal"),
        pytest.param(False, "keyring.backends.SecretService", False, id="in-a-job"),
        pytest.param(False, "keyring.backends.macOS", False, id="in-a-job-on-a-mac"),
        pytest.param(False, "keyrings.alt.file", False, id="in-a-job-with-a-file-that-asks"),
        pytest.param(False, "keyring.backends.Windows", True, id="in-a-job-on-windows-which-never-asks"),
    ],
)
def test_a_keyring_that_may_ask_back_is_not_asked_in_a_job(
    keyring: MakeKeyring, terminal: bool, backend: str, asked: bool
) -> None:
    made = keyring({"api_key": KEY}, terminal, backend)

    assert (Secret(KEY) if asked else None, asked) == (Config.load().api_key, bool(made.asked))


def test_a_notebook_can_be_asked_back(keyring: MakeKeyring, monkeypatch: pytest.MonkeyPatch) -> None:
    keyring({"api_key": KEY}, terminal=False)
    shell = type("ZMQInteractiveShell", (), {})()
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))

    assert Secret(KEY) == Config.load().api_key


def test_a_keyring_that_fails_is_told_without_what_it_said(keyring: MakeKeyring) -> None:
    keyring(trouble=RuntimeError(f"cannot unlock {KEY}"))
    with pytest.warns(TrayportWarning, match=r"could not be asked for a key \(RuntimeError\)") as told:
        assert None is Config.load().api_key

    assert KEY not in str(told[0].message)


def test_a_system_without_a_keyring_is_no_matter(keyring: MakeKeyring) -> None:
    keyring(trouble=type("NoKeyringError", (RuntimeError,), {})("none"))

    assert None is Config.load().api_key


def test_without_the_extra_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    assert None is from_keyring(None)


def test_the_real_keyring_is_asked_as_it_wants_to_be() -> None:
    pytest.importorskip("keyring")
    script = (
        "import keyring, trayport\n"
        "from keyring.backend import KeyringBackend\n"
        "class Mine(KeyringBackend):\n"
        "    priority = 1\n"
        "    def get_password(self, service, name): return f'{service}-{name}-key'\n"
        "    def set_password(self, *_): ...\n"
        "    def delete_password(self, *_): ...\n"
        "Mine.__module__ = 'keyring.backends.Windows'\n"
        "keyring.set_keyring(Mine())\n"
        "print(trayport.Config.load().require_key().reveal())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL
    )

    assert "trayport-api_key-key" == done.stdout.strip(), done.stderr


# --- logs --------------------------------------------------------------------------------------------------------

SECRET = Secret(KEY)


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Callable[[], str]:
    """All that the loggers said, down to the last detail."""
    caplog.set_level(logging.DEBUG)
    return lambda: "\n".join(f"{caplog.handler.format(record)} {record.__dict__}" for record in caplog.records)


@pytest.mark.parametrize(
    "name",
    ["trayport.transport.session", "trayport.sandbox.server", "trayport.sandbox.listener", "urllib3.connectionpool",
     "urllib3.connection", "urllib3.util.retry", "urllib3.poolmanager", "urllib3.response"],
)  # fmt: skip
@pytest.mark.parametrize(
    "say",
    [
        pytest.param(lambda logger: logger.debug(f"sent X-API-KEY: {KEY}"), id="message"),
        pytest.param(lambda logger: logger.debug("sent %s", {"X-API-KEY": KEY}), id="argument"),
        pytest.param(lambda logger: logger.debug("sent %(key)s", {"key": KEY.upper()}), id="named"),
        pytest.param(lambda logger: logger.debug("%s", quote(KEY, safe="")), id="as-in-a-url"),
        pytest.param(lambda logger: logger.debug("%r", KEY.encode()), id="bytes"),
        pytest.param(lambda logger: logger.debug("%d", KEY), id="does-not-fit"),
        pytest.param(lambda logger: logger.debug(KEY, stack_info=True), id="stack"),
    ],
)
def test_no_record_of_this_package_or_of_urllib3_shows_a_key(
    name: str, say: Callable[[logging.Logger], None], told: Callable[[], str]
) -> None:
    _redact.watch()
    say(logging.getLogger(name))

    said = told()
    assert name in said
    assert [] == [each for each in (KEY, quote(KEY, safe="")) if each.lower() in said.lower()]


def test_a_traceback_is_shown_without_the_key(told: Callable[[], str]) -> None:
    def fail() -> None:
        raise RuntimeError(f"no such key: {KEY}")

    try:
        try:
            fail()
        except RuntimeError:
            raise ValueError("because of that")  # noqa: B904  # as careless as the code of others
    except ValueError:
        logging.getLogger("trayport.transport.session").exception("it failed")

    said = told()
    assert "no such key: ***" in said
    assert "because of that" in said
    assert KEY not in said


def test_a_record_without_a_key_is_left_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    error = RuntimeError("nothing")
    logging.getLogger("trayport.transport.session").debug("%s took %d", "trades", 3, exc_info=error)

    record = caplog.records[-1]
    assert ("%s took %d", ("trades", 3), error) == (record.msg, record.args, (record.exc_info or (None, None))[1])


def test_every_logger_of_this_package_has_the_filter() -> None:
    import pkgutil

    for module in pkgutil.walk_packages(trayport.__path__, "trayport."):
        if not module.name.endswith("__main__"):
            __import__(module.name)
    ours = [
        logger
        for name, logger in logging.root.manager.loggerDict.items()
        if name.startswith("trayport.") and isinstance(logger, logging.Logger)
    ]

    assert len(ours) >= 3
    assert [] == [logger.name for logger in ours if _redact._FILTER not in logger.filters]


def test_a_word_is_not_taken_for_a_key() -> None:
    Secret("the")

    assert "the usual" == _redact.redacted("the usual")


def test_what_urllib3_tells_of_a_whole_session_has_no_key_in_it(told: Callable[[], str]) -> None:
    clock = Clock()
    echo = f'{{"title":"what is {KEY}?"}}'.encode()
    with Wire(reset, http(503, echo), http(302, b"", Location=f"/{KEY}"), http(200, b"[1]", X_Echo=KEY)) as wire:
        config = Config(KEY, analytics_url=f"{wire.url}/{KEY}", reference_url=wire.url, limiter="off")
        session = Session(config, clock=clock, wait=clock.wait)
        with pytest.raises(trayport.APIError, match="redirects") as caught:
            session.send(Request(TRADES, (("q", KEY),)))
        session.send(Request(TRADES))
        session.close()

    said = told()
    assert "urllib3.connectionpool" in said
    assert [] == [each for each in (KEY, quote(KEY), quote(KEY, safe="")) if each in f"{said} {caught.value!r}"]


# --- the watch on the whole run ------------------------------------------------------------------------------------

LEAKS = {
    "Captured stdout call of test_leak.py::test_print": "def test_print(): print(KEY)",
    "Captured stderr call of test_leak.py::test_error_stream":
    "def test_error_stream():\n    import sys\n    sys.stderr.write(KEY)",
    "what a test captured": "def test_read_back(capsys):\n    print(KEY)\n    capsys.readouterr()",
    "a record of the logger some.other":
    "def test_log():\n    import logging\n    logging.getLogger('some.other').warning('it is %s', KEY)",
    "Captured stdout call of test_leak.py::test_quoted":
    "def test_quoted():\n    from urllib.parse import quote\n    print(quote(KEY, safe=''))",
    "/leaked": "def test_file(tmp_path): (tmp_path / 'leaked').write_bytes(b'\\0' + KEY.encode())",
    "a warning in test_leak.py::test_warning": "def test_warning():\n    import warnings\n    warnings.warn(KEY)",
    "printed": "def test_program():\n    import subprocess, sys\n"
    "    subprocess.run([sys.executable, '-c', 'print(input())'], input=KEY, text=True, capture_output=True)",
}  # fmt: skip
"""Where a leaked key is found, and a test that leaks it there."""


def run_with_canary(folder: Path, source: str, *options: str) -> tuple[int, str]:
    """Return the exit code and the output of a run of ``source`` that is watched for the key."""
    (folder / "test_leak.py").write_text(f"from support.canary import KEY\n{source}\n", encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    command = "-m pytest -q -p support.canary -p no:cacheprovider --import-mode=importlib -c pytest.ini --basetemp=out"
    # Plugins of other packages only take time to load.
    bare = {"PYTEST_ADDOPTS": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    process = subprocess.Popen(
        [sys.executable, *command.split(), *options, "test_leak.py"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(canary.__file__).parent.parent), **bare},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process, process.stdout as output:  # `communicate` is watched
        printed = output.read()
    shutil.rmtree(folder)  # this run must not find the keys that were leaked on purpose
    return process.returncode, printed


def test_run_without_a_leak_passes(tmp_path: Path) -> None:
    code, printed = run_with_canary(tmp_path, "def test(): assert KEY")

    assert (0, False) == (code, "the key got out" in printed), printed


@pytest.mark.parametrize("options", [(), ("-p", "xdist.plugin", "-n", "1")], ids=["one-process", "worker"])
def test_run_fails_wherever_a_key_leaks(options: tuple[str, ...], tmp_path: Path) -> None:
    code, printed = run_with_canary(tmp_path, "\n".join(LEAKS.values()), *options)

    assert 1 == code, printed
    assert f"{len(LEAKS)} passed" in printed
    found = printed.partition("the key got out")[2]
    assert [] == [where for where in LEAKS if where not in found], printed
