"""Faults on the way to the server: proxies and names, reported without passwords."""

from __future__ import annotations

import base64
import socket
import threading
from contextlib import suppress
from secrets import token_hex
from typing import Any

import pytest
import requests
from support.fake import Clock
from support.wire import Response, Wire, http

from trayport import Config, ConfigError, ConnectionFailed, TransportError
from trayport.endpoints import TRADES, Request
from trayport.transport import Session
from trayport.transport.faults import classify

ASK = Request(TRADES, (("sequenceItemId", "1"),))


def remote_session(**settings: Any) -> tuple[Session, Clock]:
    """Return a session to another host, with a rate limit and a clock that no other test shares."""
    clock = Clock()
    return Session(Config(token_hex(), **settings), clock=clock, wait=clock.wait), clock


@pytest.mark.parametrize(
    "proxy",
    [
        "http://user:1#word@127.0.0.1:9",
        "http://user:pass/word@127.0.0.1:9",
        "http://user:1/word@127.0.0.1:9",
        "http://user:pass?word@127.0.0.1:9",
        "http://user:word\u20ac@127.0.0.1:9",
        "http://user:word@127.0.0.1:99999",
        "http://user:pass\\word@127.0.0.1:9",
        "http://CORP\\user:word@127.0.0.1:9",
        "http://user:12?word@127.0.0.1:9",
        "user:word@127.0.0.1:9",
        "http://user:word@127.0.0.1:0",
        "http://user:word@[::1",
        "http://user:word@",
        "http//user:word@127.0.0.1:9",
    ],
)
def test_invalid_proxy_is_refused_without_showing_its_password(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    session, clock = remote_session()
    with pytest.raises(ConfigError, match="HTTPS_PROXY") as caught:
        session.send(ASK)

    assert (None, None) == (caught.value.__cause__, caught.value.__context__)
    assert "word@" not in str(caught.value)
    assert [] == clock.waits


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_proxy_that_refuses_connections_is_reported_without_its_password(
    monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    monkeypatch.setenv("HTTPS_PROXY", f"{scheme}://user:hush-hush@127.0.0.1:{port}")
    session, _ = remote_session(attempts=2)
    with pytest.raises(ConnectionFailed, match="after 2 attempts: .*refused") as caught:
        session.send(ASK)

    assert "hush-hush" not in f"{caught.value} {caught.value!r}"


class TestProxies:
    """Use of proxies, and the errors about them."""

    def send_through(
        self, monkeypatch: pytest.MonkeyPatch, response: Response, **settings: Any
    ) -> tuple[list[str], Exception]:
        """Return the requests that a proxy received, and the error for its response."""
        with Wire(response) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("//", "//us%40er:hush-hush@"))
            session, _ = remote_session(**settings)
            with pytest.raises(TransportError) as caught:
                session.send(ASK)
            session.close()
            return proxy.heads, caught.value

    def test_missing_login_is_final_and_has_a_remedy(self, monkeypatch: pytest.MonkeyPatch) -> None:
        heads, error = self.send_through(monkeypatch, http(407, b"", Proxy_Authenticate="Basic"))

        assert (1, TransportError) == (
            len(heads),
            type(error),
        )  # several attempts with a wrong password may lock the account
        assert "the proxy requires a login; give it as HTTPS_PROXY=http://user:password@proxy:port" in str(error)
        assert "hush-hush" not in f"{error} {error!r}"

    def test_login_of_the_url_is_sent(self, monkeypatch: pytest.MonkeyPatch) -> None:
        heads, _ = self.send_through(monkeypatch, http(407))
        login = base64.b64encode(b"us@er:hush-hush").decode()

        assert f"Proxy-Authorization: Basic {login}".lower() in heads[0].lower()

    def test_refusal_of_the_address_is_final(self, monkeypatch: pytest.MonkeyPatch) -> None:
        heads, error = self.send_through(monkeypatch, http(403))

        assert (1, TransportError) == (len(heads), type(error))
        assert "the proxy refuses connections to this address (403); ask the operators of the proxy" in str(error)

    def test_busy_proxy_is_retried(self, monkeypatch: pytest.MonkeyPatch) -> None:
        heads, error = self.send_through(monkeypatch, http(503), attempts=3)

        assert (3, ConnectionFailed) == (len(heads), type(error))

    def test_https_to_a_proxy_of_http_is_final(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def respond() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        connection.recv(65536)
                        connection.sendall(http(400))

        with socket.create_server(("127.0.0.1", 0)) as listener:
            threading.Thread(target=respond, daemon=True).start()
            monkeypatch.setenv("HTTPS_PROXY", f"https://127.0.0.1:{listener.getsockname()[1]}")
            session, _ = remote_session()
            with pytest.raises(TransportError, match="after 1 attempt: the proxy speaks http, not https"):
                session.send(ASK)
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)

    def test_proxy_without_an_address_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HTTPS_PROXY", "http://user:hush-hush@no-such-proxy.invalid:8080")
        session, _ = remote_session(attempts=1)
        with pytest.raises(
            ConnectionFailed, match="not found: the proxy no-such-proxy.invalid has no address"
        ) as caught:
            session.send(ASK)

        assert "check HTTPS_PROXY" in str(caught.value)
        assert "hush-hush" not in f"{caught.value} {caught.value!r}"

    @pytest.mark.parametrize("excluded", ["no-such-host.invalid", ".invalid", "*", "other.example, invalid"])
    def test_excluded_host_is_reached_without_the_proxy(self, monkeypatch: pytest.MonkeyPatch, excluded: str) -> None:
        with Wire(http(502)) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", proxy.url)
            monkeypatch.setenv("NO_PROXY", excluded)
            session, _ = remote_session(analytics_url="https://no-such-host.invalid", attempts=1)
            with pytest.raises(ConnectionFailed, match="the name was not found: no-such-host.invalid has no address"):
                session.send(ASK)

            assert [] == proxy.heads

    @pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
    def test_other_hosts_are_reached_through_the_proxy(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        with Wire(http(502)) as proxy:
            monkeypatch.setenv(name, proxy.url)
            monkeypatch.setenv("NO_PROXY", "other.example")
            session, _ = remote_session(attempts=1)
            with pytest.raises(ConnectionFailed):
                session.send(ASK)

            assert 1 == len(proxy.heads)


def test_host_without_an_address_is_named() -> None:
    session, clock = remote_session(analytics_url="https://no-such-host.invalid", attempts=3)
    with pytest.raises(
        ConnectionFailed,
        match="after 3 attempts: the name was not found: no-such-host.invalid has no address here; check its spelling",
    ):
        session.send(ASK)

    assert 2 == len(clock.waits)  # retried, since a machine that wakes up has no network at first


def test_refused_connection_has_the_host_and_the_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    session, _ = remote_session(analytics_url=f"https://127.0.0.1:{port}", attempts=1)
    with pytest.raises(
        ConnectionFailed, match=f"127.0.0.1 refused the connection at port {port}: nothing listens there"
    ):
        session.send(ASK)


def test_broken_connection_has_no_remedy() -> None:
    reset = requests.exceptions.ConnectionError(ConnectionResetError(104, "Connection reset by peer"))

    assert (ConnectionFailed, "Connection reset by peer", None) == classify(reset)
