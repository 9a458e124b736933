"""What users' own tests get: a sandbox behind the flat functions."""

from __future__ import annotations

import pytest

import trayport as tp
from trayport.client import DEFAULT
from trayport.testing import sandboxed


def test_the_flat_functions_ask_a_fresh_sandbox_within_the_block() -> None:
    with sandboxed() as sandbox:
        frame = tp.trades("TTF Apr-24", "2024-02-05", "2024-02-06")
        asked = [request.path for request in sandbox.asked]

    assert len(frame) > 100
    assert ("/trades", 1) == (asked[-1], asked.count("/trades"))


def test_afterwards_all_is_as_it_was() -> None:
    with DEFAULT.lent():
        tp.configure(api_key="mine", tz="Europe/Paris")
        with sandboxed(tz="Europe/London"):
            assert "Europe/London" == DEFAULT.config.tz
        assert ("mine", "Europe/Paris") == (DEFAULT.config.require_key().reveal(), DEFAULT.config.tz)


def test_afterwards_all_is_as_it_was_even_if_the_block_fails() -> None:
    with DEFAULT.lent():
        tp.configure(tz="Europe/Paris")
        with pytest.raises(ZeroDivisionError), sandboxed():
            _ = 1 / 0
        assert "Europe/Paris" == DEFAULT.config.tz


def test_blocks_may_stand_in_each_other() -> None:
    with sandboxed() as outer, sandboxed() as inner:
        tp.trades("TTF Apr-24", "2024-02-05", "2024-02-06")

        assert ([], True) == (outer.asked, len(inner.asked) > 0)


def test_settings_go_along() -> None:
    with sandboxed(aliases={"Gas": "TTF Hi Cal 51.6*"}):
        assert "TTF Hi Cal 51.6* Apr-24" == tp.resolve("Gas Apr-24").name


def test_a_wrong_setting_is_refused_and_changes_nothing() -> None:
    with pytest.raises(tp.ConfigError, match="'timezone'"), sandboxed(timezone="UTC"):
        pass  # pragma: no cover


def test_it_is_reached_from_the_package() -> None:
    assert sandboxed is tp.testing.sandboxed
