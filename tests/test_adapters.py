"""``Client(adapter=..., auth=...)``: a user's requests adapter and login."""

from __future__ import annotations

import multiprocessing
import pickle
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pandas as pd
import pytest
import requests
from requests.adapters import BaseAdapter, HTTPAdapter
from requests.auth import AuthBase, HTTPBasicAuth
from support.bench import ASK, MakeBench
from support.canary import KEY
from support.wire import Wire, http
from urllib3.util.retry import Retry

from trayport import APIError, Client, Config, ConfigError, QueryError, TrayportWarning
from trayport._parallel import CancelToken, Deadline
from trayport.sandbox import Fault, Sandbox
from trayport.transport import Session

TTF = "TTF Apr-24"
DAY = (TTF, "2024-02-05", "2024-02-06")


class Recorder(HTTPAdapter):
    """Keeps the URLs, the responses and the arguments of all requests."""

    def __init__(self, reads: bool = False) -> None:
        super().__init__()
        self.reads = reads
        self.urls: list[str] = []
        self.responses: list[requests.Response] = []
        self.arguments: list[dict[str, Any]] = []

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        response = super().send(request, *args, **kwargs)
        if self.reads:
            assert response.content is not None
        self.urls.append(str(request.url))
        self.responses.append(response)
        self.arguments.append(kwargs)
        return response

    def __repr__(self) -> str:
        return f"Recorder({[response.request.headers for response in self.responses]})"


@pytest.fixture
def faulty(tmp_path: Path) -> Iterator[Sandbox]:
    """A sandbox that fails the first request for trades."""
    with Sandbox(limits=False, faults=[Fault(path="/trades", status=503, times=1)]) as sandbox:
        yield sandbox


def settings(sandbox: Sandbox, tmp_path: Path, **more: Any) -> Config:
    return Config(**{"limiter": "off", "cache_dir": tmp_path, "backoff_cap": 0.01, **sandbox.settings, **more})


@pytest.mark.parametrize("reads", [False, True], ids=["keeps-the-response", "reads-the-body"])
@pytest.mark.parametrize("wire_format", ["json", "csv"])
def test_recording_adapter_sees_every_attempt_and_changes_no_data(
    faulty: Sandbox, tmp_path: Path, reads: bool, wire_format: str
) -> None:
    adapter = Recorder(reads)
    config = settings(faulty, tmp_path, wire_format=wire_format)
    with Client(config=config, adapter=adapter) as client:
        frame = client.trades(*DAY)
        assert adapter is client.adapter
    asked = [request.path for request in faulty.asked]
    with Client(config=config) as client:
        expected = client.trades(*DAY)

    pd.testing.assert_frame_equal(expected, frame)
    assert len(frame) > 0
    assert [503, 200] == [response.status_code for response in adapter.responses][-2:]
    assert len(asked) == len(adapter.urls) > 2


def test_key_is_sent_to_the_hosts_of_the_api_only(make_bench: MakeBench) -> None:
    with Wire(http()) as elsewhere:
        bench = make_bench(http(302, b"", Location=f"{elsewhere.url}/steal"))
        adapter = Recorder()
        session = Session(bench.session.config, adapter=adapter)
        with pytest.raises(APIError, match="which is not followed"):
            session.send(ASK)
        session.close()

        assert [] == elsewhere.heads
    assert {urlsplit(bench.wire.url).netloc} == {urlsplit(url).netloc for url in adapter.urls}
    assert KEY == adapter.responses[0].request.headers["X-API-KEY"]
    assert KEY not in "".join(adapter.urls)


def test_no_text_of_this_package_shows_the_adapter_or_the_auth_object(
    make_bench: MakeBench, caplog: pytest.LogCaptureFixture
) -> None:
    class Login(AuthBase):
        def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
            return request

        def __repr__(self) -> str:
            return f"Login({KEY})"

    bench = make_bench(http(400, b"no"))
    adapter = Recorder()
    with Client(config=bench.session.config, adapter=adapter, auth=Login()) as client:
        with pytest.raises(APIError) as caught:
            client.session.send(ASK)
        shown = f"{client!r} {client.session!r} {client.status()!r} {caught.value!r} {caught.value} {caplog.text}"
    assert KEY in repr(adapter)
    adapter.max_retries = Retry(3)
    with pytest.raises(ConfigError) as refused:
        Client(config=bench.session.config, adapter=adapter)

    assert KEY not in f"{shown} {refused.value} {refused.value!r}"


def test_every_attempt_takes_a_permit(make_bench: MakeBench) -> None:
    bench = make_bench(http(503), http())
    adapter = Recorder()
    session = Session(
        bench.session.config.replace(limiter="memory"), clock=bench.clock, wait=bench.clock.wait, adapter=adapter
    )
    session.send(ASK)
    session.close()

    assert (2, 2) == (session.status().limiter.used, len(adapter.urls))


def test_adapter_gets_timeouts_certificates_and_proxies(
    make_bench: MakeBench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    bundle = tmp_path / "bundle.pem"
    bundle.touch()
    bench = make_bench(http(), timeout=(3.0, 4.0))
    adapter = Recorder()
    session = Session(bench.session.config.replace(ca_bundle=bundle), adapter=adapter)
    session.send(ASK, CancelToken(Deadline(3.5, lambda: 0.0)))
    session.close()

    arguments = adapter.arguments[0]
    assert ((3.0, 3.5), str(bundle), {}) == (arguments["timeout"], arguments["verify"], dict(arguments["proxies"]))


def test_pool_of_an_adapter_is_not_counted(make_bench: MakeBench) -> None:
    bench = make_bench(http())
    session = Session(bench.session.config, adapter=Recorder())
    session.send(ASK)

    assert (0, 0) == (session.status().pool.open, session.status().pool.made)
    session.close()


class Unpooled(BaseAdapter):
    """An adapter without ``max_retries``."""


@pytest.mark.parametrize(
    "retries",
    [0, Retry(0), Retry(0, read=False), Retry(False), Retry(3, connect=0, read=False, redirect=0, status=0, other=0),
     Retry(None, connect=0, read=0, redirect=0, status=0, other=0)],
    ids=repr,
)  # fmt: skip
def test_adapter_without_retries_is_accepted(retries: Any) -> None:
    adapter = HTTPAdapter(max_retries=retries)

    assert adapter is Client("a-key-of-a-test", adapter=adapter).adapter
    assert Client("a-key-of-a-test", adapter=Unpooled()).adapter is not None


@pytest.mark.parametrize(
    "retries",
    [1, Retry(3), Retry(None), Retry(None, connect=0, read=0, redirect=0, status=0, other=1),
     *(Retry(None, **{**dict.fromkeys(("connect", "read", "redirect", "status", "other"), 0), name: 2})
       for name in ("connect", "read", "redirect", "status"))],
    ids=repr,
)  # fmt: skip
def test_adapter_with_retries_is_refused_since_they_take_no_permit(retries: Any) -> None:
    with pytest.raises(ConfigError, match="takes? no permit of the rate limit; make it with max_retries=0"):
        Client("a-key-of-a-test", adapter=HTTPAdapter(max_retries=retries))


@pytest.mark.parametrize("adapter", [HTTPAdapter, "http://", requests.Session()], ids=["class", "text", "session"])
def test_object_of_another_class_is_refused(adapter: Any) -> None:
    with pytest.raises(ConfigError, match=r"adapter must be a requests\.adapters\.BaseAdapter, not a"):
        Client("a-key-of-a-test", adapter=adapter)


@pytest.mark.parametrize("auth", ["user", ("user", "password")], ids=["text", "pair"])
def test_auth_that_cannot_be_called_is_refused(auth: Any) -> None:
    with pytest.raises(ConfigError, match=r"auth must be a requests\.auth\.AuthBase or another callable, not a"):
        Client("a-key-of-a-test", auth=auth)


@pytest.mark.parametrize("is_object", [True, False], ids=["AuthBase", "function"])
def test_auth_adds_a_login_to_every_attempt_and_netrc_is_still_not_read(
    make_bench: MakeBench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, is_object: bool
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login other password other\n", encoding="utf-8")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    basic = HTTPBasicAuth("user", "password")
    bench = make_bench(http(503), http(200, b"[1]"))
    session = Session(
        bench.session.config, wait=bench.clock.wait, auth=basic if is_object else lambda each: basic(each)
    )

    assert b"[1]" == session.send(ASK)
    session.close()
    expected = "Authorization: Basic dXNlcjpwYXNzd29yZA=="
    assert 2 == len([head for head in bench.wire.heads if expected in head and f"X-API-KEY: {KEY}" in head])


def test_error_of_an_auth_object_is_not_shown(make_bench: MakeBench) -> None:
    def fail(request: requests.PreparedRequest) -> requests.PreparedRequest:
        raise RuntimeError(f"secret {KEY}")

    session = Session(make_bench(http()).session.config, auth=fail)
    with pytest.raises(Exception, match="RuntimeError while sending") as caught:
        session.send(ASK)
    session.close()

    assert caught.value.__context__ is None


def test_pickled_client_has_neither_adapter_nor_auth(make_bench: MakeBench) -> None:
    with suppress(TrayportWarning):
        client = Client(
            config=make_bench(http()).session.config, adapter=Recorder(), auth=HTTPBasicAuth("user", "password")
        )
        copied = pickle.loads(pickle.dumps(client))

    assert (None, None) == (copied.adapter, copied.auth)


def use(client: Client, results: Any) -> None:
    """Make a request in a forked process, and report the error."""
    try:
        client.session.send(ASK)
    except QueryError as error:
        results.put(str(error))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs os.fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_client_with_an_adapter_is_closed_in_a_forked_child(make_bench: MakeBench) -> None:
    bench = make_bench(http(200, b"[1]"))
    context = multiprocessing.get_context("fork")
    with Client(config=bench.session.config, adapter=Recorder()) as client:
        client.session.send(ASK)
        results = context.Queue()
        child = context.Process(target=use, args=(client, results))
        child.start()
        text = results.get(timeout=300)
        child.join(60)

        assert "this client is closed" in text
        assert b"[1]" == client.session.send(ASK)
    assert 2 == len(bench.wire.heads)
