"""Clients: opened late, closed, shared by threads, pickled, forked and configured."""

from __future__ import annotations

import copy
import os
import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import pytest
from support.canary import KEY
from support.programs import environment, printed

import trayport as tp
from conftest import MakeClient
from trayport import Client, Config, ConfigError, Plan, QueryError, RequestEvent
from trayport.api import DEFAULT
from trayport.sandbox import Sandbox


def test_a_client_opens_nothing_before_its_first_query() -> None:
    client = Client(config=Config(analytics_url="https://nowhere.invalid"))

    assert "Client(...)" == repr(client)
    client.close()


def test_the_key_of_the_argument_replaces_that_of_the_settings() -> None:
    with Client(KEY, config=Config("other")) as client:
        assert KEY == client.config.require_key().reveal()


def test_a_malformed_key_is_refused_at_once() -> None:
    with pytest.raises(ConfigError, match="api_key"):
        Client("two words")


def test_settings_are_loaded_at_the_first_query(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client()
    monkeypatch.setenv("TRAYPORT_TZ", "Europe/Paris")

    assert "Europe/Paris" == client.config.tz


def test_the_key_is_in_no_repr(make_client: MakeClient) -> None:
    client = make_client(api_key=KEY)
    assert KEY == client.config.require_key().reveal()

    assert KEY not in f"{client!r} {client.plan!r} {client.stream!r} {client.session!r} {client.catalogue!r}"


def test_the_key_is_in_no_file(make_client: MakeClient, tmp_path: Path) -> None:
    client = make_client(cache_dir=tmp_path)
    client.trades("TTF Apr-24", "2024-02-05", "2024-02-06").to_parquet(tmp_path / "frame.parquet")
    key = client.config.require_key().reveal().encode()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]

    assert len(files) > 2
    assert [] == [path for path in files if key in path.read_bytes()]


def test_a_closed_client_refuses_queries_and_may_be_closed_again(make_client: MakeClient) -> None:
    client = make_client()
    client.markets()
    client.close()
    client.close()

    with pytest.raises(QueryError, match="this client is closed"):
        client.trades("TTF Apr-24", "2024-02-05", "2024-02-06")


def test_closing_leaves_no_thread_and_no_socket_behind(make_client: MakeClient) -> None:
    with Sandbox(limits=False) as sandbox:
        client = make_client(sandbox)
        client.trades("TTF Apr-24", "2023-06-01", "2024-02-10")
        assert sandbox.connections[1] > 0
        client.close()
        deadline = time.monotonic() + 5
        while sandbox.connections[1] and time.monotonic() < deadline:
            time.sleep(0.01)

        assert 0 == sandbox.connections[1]
    assert [] == [thread.name for thread in threading.enumerate() if thread.name.startswith("trayport_")]


def test_threads_may_share_a_client(client: Client) -> None:
    def ask(day: int) -> int:
        return len(client.trades("TTF Apr-24", f"2024-02-{day:02d}", f"2024-02-{day + 1:02d}"))

    with ThreadPoolExecutor(16) as pool:
        together = list(pool.map(ask, range(1, 28)))

    assert together == [ask(day) for day in range(1, 28)]


def test_connections_are_reused(make_client: MakeClient) -> None:
    with Sandbox(limits=False) as sandbox:
        make_client(sandbox, workers=4).trades("EUA Dec-30", "2014-01-01", "2024-02-10")
        requests = len(sandbox.asked)

        assert requests > 115
        assert sandbox.connections[0] <= 4


def test_hooks_see_every_request(make_client: MakeClient) -> None:
    events: list[RequestEvent] = []
    make_client(hooks=[events.append]).trades("TTF Apr-24", "2023-12-01", "2024-02-10")

    assert ["trades"] * 3 == [event.endpoint for event in events if event.endpoint == "trades"]


def test_a_client_pickles_with_its_settings_and_without_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(KEY, config=Config(tz="Europe/Paris", per_second=2))
    client.config.require_key()
    pickled = pickle.dumps(client)
    monkeypatch.setenv("TRAYPORT_API_KEY", "another")
    unpickled = pickle.loads(pickled)

    assert KEY.encode() not in pickled
    assert ("Europe/Paris", 2, "another") == (
        unpickled.config.tz,
        unpickled.config.per_second,
        unpickled.config.require_key().reveal(),
    )


def test_the_default_client_pickles_as_a_reference_to_itself() -> None:
    assert DEFAULT is pickle.loads(pickle.dumps(DEFAULT)) is copy.deepcopy(DEFAULT)
    assert tp.trades == pickle.loads(pickle.dumps(tp.trades))


def test_the_flat_functions_work_in_other_processes(sandbox: Sandbox, cache_dir: Path, tmp_path: Path) -> None:
    methods = ["spawn", "fork"] if hasattr(os, "fork") else ["spawn"]
    script = (
        "import multiprocessing, sys, trayport as tp\n"
        "def ask(day): return len(tp.trades('TTF Apr-24', f'2024-02-{day}', f'2024-02-{day}T12:00'))\n"
        "if __name__ == '__main__':\n"
        "    here = [ask(day) for day in ('05', '06', '07')]\n"
        f"    for method in {methods}:\n"
        "        with multiprocessing.get_context(method).Pool(1) as pool:\n"
        "            print(here == pool.map(ask, ('05', '06', '07')), sum(here) > 0)\n"
    )

    assert len(methods) * "True True\n" == printed(script, tmp_path, environment(sandbox, cache_dir, limiter="off"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
def test_a_forked_child_opens_sockets_of_its_own(make_client: MakeClient) -> None:
    client = make_client()
    here = len(client.trades("TTF Apr-24", "2024-02-05", "2024-02-06"))
    holder = threading.Thread(target=hold_lock, args=(client,), daemon=True)
    holder.start()  # the child inherits a lock that no thread of its own will release
    time.sleep(0.1)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, str(len(client.trades("TTF Apr-24", "2024-02-05", "2024-02-06"))).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as output:
        assert str(here) == output.read()
    os.waitpid(child, 0)
    holder.join()


def hold_lock(client: Client) -> None:
    with client._lock:
        time.sleep(1.0)


class TestConfigure:
    """``configure``, which sets up the default client."""

    @pytest.fixture(autouse=True)
    def _restore_configuration(self) -> object:
        with DEFAULT.temporarily_configured():
            yield

    def test_settings_add_to_earlier_ones(self) -> None:
        tp.configure(api_key=KEY, tz="Europe/Paris")
        tp.configure(per_second=2)
        config = DEFAULT.config

        assert ("Europe/Paris", 2, KEY) == (config.tz, config.per_second, config.require_key().reveal())

    def test_a_config_replaces_all_settings(self) -> None:
        tp.configure(api_key=KEY, tz="Europe/Paris")
        tp.configure(config=Config("other"))

        assert ("UTC", "other") == (DEFAULT.config.tz, DEFAULT.config.require_key().reveal())

    def test_later_settings_add_to_a_config_too(self) -> None:
        tp.configure(config=Config("other", tz="Europe/Paris"))
        tp.configure(per_second=2)

        assert ("Europe/Paris", 2, "other") == (
            DEFAULT.config.tz,
            DEFAULT.config.per_second,
            DEFAULT.config.require_key().reveal(),
        )

    def test_a_query_keeps_the_settings_that_it_began_with(self, sandbox: Sandbox, cache_dir: Path) -> None:
        settings = {"limiter": "off", "cache_dir": cache_dir, "workers": 1, "progress": False}
        tp.configure(config=Config().replace(**sandbox.settings, **settings))
        whole = tp.trades("TTF Apr-24", "2023-11-01", "2024-03-01")
        frames = tp.stream.trades("TTF Apr-24", "2023-11-01", "2024-03-01")
        first = next(frames)
        with Sandbox(limits=False, seed=2) as other:
            tp.configure(**other.settings, tz="Europe/Paris")
            rest = list(frames)

            assert [] == other.asked
        pd.testing.assert_frame_equal(whole, pd.concat([first, *rest]))

    def test_a_query_waits_at_most_a_second_during_a_bulk_load(self, make_client: MakeClient) -> None:
        waits: dict[str, list[float]] = {}
        with Sandbox(limits=False) as own:  # on another port, so that no other test uses its rate limit
            make_client(own).resolve("TTF Apr-24")
            client = make_client(
                own,
                limiter="memory",
                progress=False,
                hooks=[lambda event: waits.setdefault(event.endpoint, []).append(event.waited)],
            )
            client.resolve("TTF Apr-24")
            history = ("TTF Apr-24", "2022-10-01", "2024-02-01")
            with ThreadPoolExecutor(1) as pool:
                load = pool.submit(client.trades, *history)
                while len(waits.get("trades", ())) < 4:
                    time.sleep(0.01)
                client.last_trade("TTF Apr-24", at="2024-02-01")
                in_flight = len(waits["trades"])
                load.result()

        assert waits["last_trade"][0] < 1.0
        assert in_flight < len(client.plan.trades(*history))

    def test_one_thread_at_a_time_may_configure_temporarily(self) -> None:
        def enter() -> None:
            with (
                pytest.raises(ConfigError, match="another thread uses the flat functions"),
                DEFAULT.temporarily_configured(),
            ):
                raise AssertionError

        with ThreadPoolExecutor(1) as pool:
            pool.submit(enter).result()

    def test_a_wrong_setting_changes_nothing(self) -> None:
        tp.configure(tz="Europe/Paris")
        with pytest.raises(ConfigError, match="per_second"):
            tp.configure(per_second=99)
        with pytest.raises(ConfigError, match="did you mean 'tz'"):
            tp.configure(tzz="UTC")

        assert "Europe/Paris" == DEFAULT.config.tz

    @pytest.mark.parametrize("hooks", [print, [print, None], "print"])
    def test_hooks_that_are_no_functions_are_refused_and_change_nothing(self, hooks: Any) -> None:
        before = DEFAULT.hooks, DEFAULT._config
        with pytest.raises(ConfigError, match="must be a list of functions; write"):
            tp.configure(tz="Europe/Amsterdam", hooks=hooks)
        with pytest.raises(ConfigError, match="must be a list of functions; write"):
            Client(hooks=hooks)

        assert before == (DEFAULT.hooks, DEFAULT._config)

    def test_hooks_are_kept_until_others_are_configured(self) -> None:
        events: list[RequestEvent] = []
        tp.configure(hooks=[events.append])
        tp.configure(tz="UTC")
        assert 1 == len(DEFAULT.hooks)

        tp.configure(hooks=())
        assert () == DEFAULT.hooks


class TestRunningAPlan:
    """``Plan.run``."""

    QUERY: ClassVar[dict[str, Any]] = {
        "contract": ["TTF Apr-24", "NBP Sum-24"],
        "start": "2024-01-25",
        "end": "2024-02-28",
    }

    def test_it_returns_the_frame_of_the_query(self, client: Client) -> None:
        frame = client.plan.trades(**self.QUERY).run()

        expected = client.trades(**self.QUERY)
        pd.testing.assert_frame_equal(expected, frame)
        assert expected.attrs == frame.attrs

    def test_a_pickled_plan_runs_on_the_default_client(self, sandbox: Sandbox, cache_dir: Path, client: Client) -> None:
        plan = client.plan.trades(**self.QUERY)
        received = pickle.loads(pickle.dumps(plan))
        with DEFAULT.temporarily_configured():
            tp.configure(config=Config().replace(**sandbox.settings, limiter="off", cache_dir=cache_dir))
            expected = plan.run()
            client_of_copy = copy.deepcopy(plan)
            pd.testing.assert_frame_equal(expected, received.run())
            DEFAULT.close()
            with pytest.raises(QueryError, match="closed"):
                received.run()
        assert plan == received == client_of_copy
        pd.testing.assert_frame_equal(expected, client_of_copy.run())

    def test_a_plan_that_no_client_made_cannot_run(self, client: Client) -> None:
        plan = client.plan.trades(**self.QUERY)
        with pytest.raises(QueryError, match="made without a client"):
            Plan(plan.query, plan.pieces).run()


def test_a_stream_cannot_be_verified(client: Client) -> None:
    with pytest.raises(QueryError, match="verify=True compares whole windows"):
        client.stream.trades("TTF Apr-24", "2024-02-05", "2024-02-06", verify=True)


def test_a_client_uses_the_clock_of_its_caller(make_client: MakeClient) -> None:
    client = make_client(clock=lambda: pd.Timestamp("2024-02-07T10:00", tz="UTC"))

    assert "2024-02-07" == client.plan.trades("TTF Apr-24", "2024-02-01").pieces[0].window.end.strftime("%Y-%m-%d")
    assert "TTF Hi Cal 51.6* Mar-24" == client.resolve("TTF M+1").name


def test_relative_periods_count_from_the_start_of_the_query(client: Client) -> None:
    frame = client.trades("TTF M+1", "2023-06-05", "2023-06-06")

    assert ["TTF Hi Cal 51.6* Jul-23"] == frame["contract"].unique().tolist()
