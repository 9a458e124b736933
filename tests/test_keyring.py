"""The key in the operating system's keyring."""

from __future__ import annotations

import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trayport import Config, TrayportWarning
from trayport.config import Secret, settings_file
from trayport.config.keyring import from_keyring

KEY = "hush-4b1d!77/e0+9"


@pytest.fixture
def write_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Writes the settings file, readable by its owner alone."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))

    def write(text: str) -> Path:
        path = settings_file()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)
        return path

    return write


class Keyring:
    """Double of the package ``keyring``; with ``error`` it raises."""

    def __init__(self, passwords: dict[str, str], backend: str, error: Exception | None) -> None:
        self.calls: list[tuple[str, str]] = []
        self.passwords, self.backend, self.error = passwords, backend, error

    def get_keyring(self) -> object:
        return type("Backend", (), {"__module__": self.backend})()

    def get_password(self, service: str, name: str) -> str | None:
        self.calls.append((service, name))
        if self.error:
            raise self.error
        return self.passwords.get(name)


MakeKeyring = Callable[..., Keyring]


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> MakeKeyring:
    """Makes a keyring, with or without a terminal."""

    def make(
        passwords: dict[str, str] | None = None,
        terminal: bool = True,
        backend: str = "keyring.backends.SecretService",
        error: Exception | None = None,
    ) -> Keyring:
        double = Keyring(passwords or {}, backend, error)
        module: Any = types.ModuleType("keyring")
        module.__spec__ = object()
        module.get_keyring, module.get_password = double.get_keyring, double.get_password
        monkeypatch.setitem(sys.modules, "keyring", module)
        monkeypatch.setattr("sys.stdin", types.SimpleNamespace(isatty=lambda: terminal, closed=False))
        return double

    return make


def test_keyring_is_used_if_there_is_no_other_key(keyring: MakeKeyring) -> None:
    double = keyring({"api_key": KEY})

    assert Secret(KEY) == Config.load().api_key
    assert [("trayport", "api_key")] == double.calls


def test_keyring_is_the_last_source(
    keyring: MakeKeyring, monkeypatch: pytest.MonkeyPatch, write_settings: Callable[[str], Path]
) -> None:
    double = keyring({"api_key": KEY})
    path = write_settings('api_key = "from-the-file"')

    assert Secret("from-the-file") == Config.load().api_key
    path.unlink()
    assert Secret("given-in-code") == Config.load("given-in-code").api_key
    monkeypatch.setenv("TRAYPORT_API_KEY", "from-outside")
    assert Secret("from-outside") == Config.load().api_key
    assert [] == double.calls


def test_profile_may_have_a_key_of_its_own(keyring: MakeKeyring, write_settings: Callable[[str], Path]) -> None:
    write_settings("[profiles.night]\n[profiles.day]")
    keyring({"api_key": "everybodys", "night": "the-nights"})

    assert ["the-nights", "everybodys"] == [
        Config.load(profile=name).require_key().reveal() for name in ("night", "day")
    ]


@pytest.mark.parametrize(
    "terminal, backend, is_used",
    [
        pytest.param(True, "keyring.backends.SecretService", True, id="in-a-terminal"),
        pytest.param(False, "keyring.backends.SecretService", False, id="in-a-job"),
        pytest.param(False, "keyring.backends.macOS", False, id="in-a-job-on-a-mac"),
        pytest.param(False, "keyrings.alt.file", False, id="in-a-job-with-a-file-that-prompts"),
        pytest.param(False, "keyring.backends.Windows", True, id="in-a-job-on-windows-which-never-prompts"),
    ],
)
def test_keyring_that_may_prompt_is_not_used_without_a_terminal(
    keyring: MakeKeyring, terminal: bool, backend: str, is_used: bool
) -> None:
    double = keyring({"api_key": KEY}, terminal, backend)

    assert (Secret(KEY) if is_used else None, is_used) == (Config.load().api_key, bool(double.calls))


def test_notebook_can_show_a_prompt(keyring: MakeKeyring, monkeypatch: pytest.MonkeyPatch) -> None:
    keyring({"api_key": KEY}, terminal=False)
    shell = type("ZMQInteractiveShell", (), {})()
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))

    assert Secret(KEY) == Config.load().api_key


def test_warning_about_a_failing_keyring_does_not_show_its_message(keyring: MakeKeyring) -> None:
    keyring(error=RuntimeError(f"cannot unlock {KEY}"))
    with pytest.warns(TrayportWarning, match=r"could not be asked for a key \(RuntimeError\)") as warned:
        assert None is Config.load().api_key

    assert KEY not in str(warned[0].message)


def test_system_without_a_keyring_has_no_key(keyring: MakeKeyring) -> None:
    keyring(error=type("NoKeyringError", (RuntimeError,), {})("none"))

    assert None is Config.load().api_key


def test_missing_library_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    assert None is from_keyring(None)


def test_real_library_is_called_correctly() -> None:
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
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL
    )

    assert "trayport-api_key-key" == done.stdout.strip(), done.stderr
