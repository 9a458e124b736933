"""Settings: the order of their sources, refused values, and the secrecy of the key."""

from __future__ import annotations

import copy
import pickle
import re
import warnings
import zoneinfo
from pathlib import Path
from typing import Any

import pytest
from attrs import fields

from trayport import Config, ConfigError, TrayportWarning
from trayport.config import Rate, Secret, settings_file

KEY = "canary-1f0e9c"


@pytest.fixture
def write_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that writes the settings file of this test."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))

    def write(text: str) -> Path:
        path = settings_file()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)
        return path

    return write


def test_arguments_win_over_the_environment_and_the_environment_over_the_file(
    write_settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_settings('api_key = "from-file"\nper_second = 1\nper_minute = 11\ntz = "Europe/London"\n')
    monkeypatch.setenv("TRAYPORT_PER_SECOND", "2")
    monkeypatch.setenv("TRAYPORT_PER_MINUTE", "22")
    config = Config.load(per_second=3)

    assert (3, 22, "Europe/London") == (config.per_second, config.per_minute, config.tz)
    assert Secret("from-file") == config.api_key


def test_every_setting_can_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    texts = {
        "api_key": f" {KEY}\n",
        "analytics_url": "https://gateway.example/api/",
        "reference_url": "http://localhost:8080",
        "per_second": "5",
        "per_minute": "300",
        "limiter": "memory",
        "workers": "4",
        "timeout": "3, 30",
        "attempts": "2",
        "backoff_cap": "10",
        "retry_budget": "60.5",
        "deadline": "900",
        "max_body": "1000000",
        "ca_bundle": str(tmp_path / "company.pem"),
        "cache_dir": str(tmp_path),
        "tz": "Europe/Berlin",
        "intraday": "yes",
        "aliases": "Gas=TTF Hi Cal 51.6*; Carbon=EUA",
        "wire_format": "csv",
        "progress": "off",
    }
    assert set(texts) == {attribute.name for attribute in fields(Config)}
    for name, text in texts.items():
        monkeypatch.setenv(f"TRAYPORT_{name.upper()}", text)

    assert Config.load() == Config(
        KEY,
        analytics_url="https://gateway.example/api",
        reference_url="http://localhost:8080",
        per_second=5,
        per_minute=300,
        limiter="memory",
        workers=4,
        timeout=(3.0, 30.0),
        attempts=2,
        backoff_cap=10.0,
        retry_budget=60.5,
        deadline=900.0,
        max_body=1_000_000,
        ca_bundle=tmp_path / "company.pem",
        cache_dir=tmp_path,
        tz="Europe/Berlin",
        intraday=True,
        aliases={"Gas": "TTF Hi Cal 51.6*", "Carbon": "EUA"},
        wire_format="csv",
        progress=False,
    )


def test_key_can_be_in_a_file_that_a_variable_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"\xef\xbb\xbf" + KEY.encode() + b"\r\n")  # a Windows editor writes a BOM and CRLF
    path.chmod(0o600)
    monkeypatch.setenv("TRAYPORT_API_KEY_FILE", str(path))

    assert Secret(KEY) == Config.load().api_key


def test_key_variable_wins_over_the_key_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("other", encoding="utf-8")
    monkeypatch.setenv("TRAYPORT_API_KEY_FILE", str(tmp_path / "key"))
    monkeypatch.setenv("TRAYPORT_API_KEY", KEY)

    assert Secret(KEY) == Config.load().api_key


def test_missing_key_file_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRAYPORT_API_KEY_FILE", str(tmp_path / "none"))

    with pytest.raises(ConfigError, match=r"TRAYPORT_API_KEY_FILE cannot be read from .*none"):
        Config.load()


def test_profile_adds_to_the_settings_at_the_top_of_the_file(
    write_settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_settings('tz = "Europe/London"\nper_second = 2\n[profiles.desk]\nper_second = 4\n')

    assert (4, "Europe/London") == ((loaded := Config.load(profile="desk")).per_second, loaded.tz)
    monkeypatch.setenv("TRAYPORT_PROFILE", "desk")
    assert 4 == Config.load().per_second


def test_unknown_profile_is_refused_with_a_list_of_the_profiles(write_settings: Any) -> None:
    write_settings("[profiles.desk]\n[profiles.home]\n")

    with pytest.raises(ConfigError, match="profile 'office' .* the profiles there are: desk, home"):
        Config.load(profile="office")


@pytest.mark.parametrize(
    "text, match", [("tz = ", "is not TOML"), ("per_secnd = 3", "'per_secnd' is no setting; did you mean 'per_second'")]
)
def test_invalid_settings_file_is_refused(write_settings: Any, text: str, match: str) -> None:
    write_settings(text)

    with pytest.raises(ConfigError, match=match):
        Config.load()


def test_settings_file_that_is_not_text_is_refused(write_settings: Any) -> None:
    write_settings("").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(ConfigError, match="it is not UTF-8 text"):
        Config.load()


def test_unknown_argument_is_refused_with_the_nearest_name_or_all_names() -> None:
    with pytest.raises(ConfigError, match="did you mean 'workers'"):
        Config.load(worker=3)
    with pytest.raises(ConfigError, match="the settings are api_key, analytics_url"):
        Config.load(zzz=3)


def test_misspelt_variable_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAYPORT_PER_SECND", "3")

    with pytest.warns(TrayportWarning, match="TRAYPORT_PER_SECND is no setting; did you mean TRAYPORT_PER_SECOND"):
        Config.load()


def test_variable_of_another_program_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAYPORT_JOULE_HOME", "x")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Config.load()


@pytest.mark.parametrize(
    "name, text", [("PER_SECOND", "fast"), ("TIMEOUT", "3;4"), ("INTRADAY", "maybe"), ("RETRY_BUDGET", "1h")]
)
def test_invalid_variable_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    monkeypatch.setenv(f"TRAYPORT_{name}", text)

    with pytest.raises(ConfigError, match=f"(?i){name}='{text}'") as caught:
        Config.load()

    assert (name.lower(),) == caught.value.settings


@pytest.mark.parametrize(
    "name, value",
    [
        ("per_second", 0), ("per_second", 2.5), ("per_second", True), ("per_second", "6"), ("per_minute", -1),
        ("limiter", "files"), ("limiter", "redis://"), ("limiter", None),
        ("workers", 0), ("timeout", 3), ("timeout", (1, 0)), ("timeout", (1, 2, 3)),
        ("attempts", 0), ("backoff_cap", 0), ("backoff_cap", float("inf")), ("retry_budget", "long"),
        ("deadline", 0), ("deadline", "soon"), ("max_body", 0), ("max_body", 1e9), ("ca_bundle", 3), ("ca_bundle", ""),
        ("cache_dir", 3), ("cache_dir", ""), ("tz", "Mars/Olympus"), ("tz", 3), ("tz", ""), ("intraday", "yes"),
        ("progress", "sometimes"), ("wire_format", "xml"),
        ("aliases", ["TTF"]), ("aliases", {"TTF": 3}), ("aliases", {"": "TTF"}),
        ("analytics_url", "analytics.trayport.com"), ("analytics_url", "ftp://analytics.trayport.com"),
        ("analytics_url", "https://"), ("reference_url", "https://host:port/"), ("reference_url", ""),
    ],
)  # fmt: skip
def test_value_out_of_its_bounds_is_refused_with_name_and_value(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=name) as caught:
        Config(**{name: value})  # type: ignore[arg-type]

    assert (name,) == caught.value.settings


@pytest.mark.parametrize(
    "url", ["http://analytics.trayport.com/api", "http://10.0.0.1", "http://127.0.0.1.evil.example"]
)
def test_plain_http_is_refused_beyond_this_machine(url: str) -> None:
    with pytest.raises(ConfigError, match="must begin with https://"):
        Config(analytics_url=url)


@pytest.mark.parametrize(
    "url", ["http://localhost:8080/api", "http://127.0.0.1:1", "http://[::1]:80", "https://x.example"]
)
def test_plain_http_is_accepted_on_this_machine(url: str) -> None:
    assert url == Config(reference_url=url).reference_url


@pytest.mark.parametrize("url", [f"https://user:{KEY}@host/api", f"https://host/api?key={KEY}", f"https://host/#{KEY}"])
def test_url_with_a_secret_is_refused_and_not_printed(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Config(analytics_url=url)

    assert KEY not in str(caught.value)


@pytest.mark.parametrize("settings", [{"per_second": 9}, {"per_minute": 481}, {"limiter": "off"}])
def test_limits_above_those_of_the_api_are_accepted_for_this_machine_only(settings: dict[str, Any]) -> None:
    here = {"analytics_url": "http://127.0.0.1:1", "reference_url": "http://127.0.0.1:1"}

    Config(**settings, **here)
    with pytest.raises(ConfigError, match="8 requests a second and 480 a minute"):
        Config(**settings)
    with pytest.raises(ConfigError, match="only for a sandbox"):
        Config(**settings, analytics_url="http://127.0.0.1:1")


@pytest.mark.parametrize("key", ["", "  ", "two words", "line\nbreak", "ünïcode", 12345, b"bytes"])
def test_impossible_key_is_refused_and_not_printed(key: Any) -> None:
    with pytest.raises(ConfigError, match="as Trayport gave it") as caught:
        Config(key)

    assert "two words" not in str(caught.value)


def test_error_without_a_key_names_the_four_ways_and_the_sandbox() -> None:
    with pytest.raises(ConfigError) as caught:
        Config().require_key()

    for way in (
        "configure(api_key=",
        "TRAYPORT_API_KEY,",
        "TRAYPORT_API_KEY_FILE",
        str(settings_file()),
        "keyring set",
        "sandbox",
    ):
        assert way in str(caught.value)


@pytest.mark.parametrize(
    "per_second, per_minute, rates",
    [
        (6, 360, [(3, 0.5), (6, 1.0), (360, 60.0)]),
        (8, 480, [(4, 0.5), (8, 1.0), (480, 60.0)]),
        (5, 360, [(3, 0.5), (5, 1.0)]),
        (1, 360, [(1, 1.0)]),
        (3, 5, [(2, 0.5), (3, 1.0), (5, 60.0)]),
        (6, 2, [(2, 60.0)]),
    ],
)
def test_rates_are_the_limits_that_bind(per_second: int, per_minute: int, rates: list[tuple[int, float]]) -> None:
    config = Config(per_second=per_second, per_minute=per_minute)

    assert tuple(Rate(*rate) for rate in rates) == config.rates


def test_zone_object_is_accepted() -> None:
    assert "Europe/Paris" == Config(tz=zoneinfo.ZoneInfo("Europe/Paris")).tz


def test_tilde_in_a_folder_is_the_home_directory() -> None:
    assert Path.home() / "cache" == Config(cache_dir="~/cache").cache_dir


def test_key_is_in_no_repr_and_no_pickle() -> None:
    config = Config(KEY)

    assert "'***'" in repr(config)
    assert KEY not in repr(config) + str(config.api_key) + f"{config.api_key!r}"
    assert KEY.encode() not in pickle.dumps(config)
    assert KEY.encode() not in pickle.dumps(config.api_key)
    assert pickle.loads(pickle.dumps(config.api_key)) is None


def test_unpickled_config_has_the_key_of_the_new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = pickle.dumps(Config(KEY, per_second=2))
    monkeypatch.setenv("TRAYPORT_API_KEY", "another")
    arrived = pickle.loads(sent)

    assert (Secret("another"), 2) == (arrived.api_key, arrived.per_second)


def test_copy_in_the_same_process_keeps_the_key() -> None:
    config = Config(KEY)

    assert config == copy.deepcopy(config) == copy.copy(config)
    assert KEY == copy.deepcopy(config.require_key()).reveal()


def test_secrets_are_compared_by_their_text() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert 1 == len({Secret("a"), Secret("a")})


def test_every_setting_is_documented_with_type_and_default() -> None:
    documented = re.findall(r"^    (\w+(?:, \w+)*) : .*(?:default|optional)", Config.__doc__ or "", re.MULTILINE)

    assert [attribute.name for attribute in fields(Config)] == documented
