"""Files that hold the key: only their owner may read them, and only the owner may change settings."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from trayport import Config, ConfigError
from trayport.config import Secret, permissions, settings_file

KEY = "hush-4b1d!77/e0+9"
posix = pytest.mark.skipif(os.name == "nt", reason="Windows has access lists instead")


@pytest.fixture
def write_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], Path]:
    """Writes the settings file with a file mode."""
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
def test_key_file_that_others_can_read_is_refused_with_a_command_as_remedy(
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
def test_key_file_of_its_owner_alone_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    path.write_text(KEY, encoding="utf-8")
    path.chmod(mode)
    monkeypatch.setenv("TRAYPORT_API_KEY_FILE", str(path))

    assert Secret(KEY) == Config.load().api_key


@posix
@pytest.mark.parametrize("text", ['api_key = "x12345"', '[profiles.night]\napi_key = "x12345"'])
def test_settings_file_with_a_key_that_others_can_read_is_refused(
    write_settings: Callable[[str, int], Path], text: str
) -> None:
    write_settings(text, 0o644)
    with pytest.raises(ConfigError, match="the settings file .* holds a key, and others") as caught:
        Config.load("another")

    subprocess.run(str(caught.value).partition("run: ")[2], shell=True, check=True)
    Config.load("another")


@posix
def test_settings_file_that_others_can_change_is_refused(
    write_settings: Callable[[str, int], Path],
) -> None:
    write_settings('analytics_url = "https://elsewhere.example"', 0o664)
    with pytest.raises(ConfigError, match="decides where the key is sent, .* its owner can change it; run:"):
        Config.load()


@posix
def test_settings_file_without_a_key_may_be_read_by_others(write_settings: Callable[[str, int], Path]) -> None:
    write_settings('tz = "Europe/Paris"', 0o644)

    assert "Europe/Paris" == Config.load().tz


def test_key_of_a_profile_is_used(write_settings: Callable[[str, int], Path]) -> None:
    write_settings('api_key = "of-all-of-us"\n[profiles.night]\napi_key = "of-the-night"', 0o600)

    assert ("of-all-of-us", "of-the-night") == (
        Config.load().require_key().reveal(),
        Config.load(profile="night").require_key().reveal(),
    )


class TestWindows:
    """Access lists of Windows, in SDDL."""

    HOME = "D:AI(A;ID;FA;;;SY)(A;ID;FA;;;BA)(A;ID;FA;;;S-1-5-21-1004336348-1177238915-682003330-1001)"

    @pytest.mark.parametrize(
        "sddl, read, changed",
        [
            pytest.param(HOME, False, False, id="in-a-users-home"),
            pytest.param("O:BAG:SYD:PAI(A;;FA;;;S-1-5-21-1-2-3-1001)", False, False, id="owner-alone"),
            pytest.param(HOME + "(A;ID;0x1200a9;;;BU)", True, False, id="users-read"),
            pytest.param(HOME + "(A;ID;FR;;;WD)", True, False, id="everyone-reads"),
            pytest.param(HOME + "(A;;0x1301bf;;;AU)", True, True, id="authenticated-users-change"),
            pytest.param(HOME + "(A;;FA;;;S-1-1-0)", True, True, id="everyone-spelled-out"),
            pytest.param(HOME + "(A;;GW;;;WD)", True, True, id="everyone-writes"),
            pytest.param(HOME + "(A;;WD;;;BU)", True, True, id="users-change-the-list"),
            pytest.param(HOME + "(A;OICIIO;FA;;;WD)", False, False, id="inherited-only"),
            pytest.param(HOME + "(D;;FA;;;WD)", False, False, id="denied"),
            pytest.param(HOME + "(A;;FA;;;S-1-5-21-1-2-3-1002)", False, False, id="another-user"),
            pytest.param(HOME + "(A;;0x100000;;;WD)", False, False, id="synchronize-only"),
            pytest.param("D:NO_ACCESS_CONTROL", True, True, id="no-list"),
            pytest.param("", False, False, id="a-drive-without-lists"),
        ],
    )
    def test_list_that_admits_groups_of_users_is_open(self, sddl: str, read: bool, changed: bool) -> None:
        assert (read, changed) == (
            permissions.is_open_list(sddl, write_only=False),
            permissions.is_open_list(sddl, write_only=True),
        )

    def test_command_uses_icacls(self, monkeypatch: pytest.MonkeyPatch) -> None:
        path = Path("some") / "the key.txt"
        monkeypatch.setattr("os.name", "nt")
        monkeypatch.setattr("getpass.getuser", lambda: "anna")

        assert f'icacls "{path}" /inheritance:r /grant:r "anna:F"' == permissions.owner_only_command(path)
