"""What keeps a request from leaving: proxies and certificates of this machine, named without their secrets."""

from __future__ import annotations

import base64
import re
import socket
import ssl
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from support.fake import Clock
from support.tls import make_certificate, needs_openssl, serve_tls
from support.wire import Response, Wire, http

from trayport import Config, ConfigError, ConnectionFailed, TransportError
from trayport.endpoints import TRADES, Request
from trayport.transport import Session
from trayport.transport.faults import classify

ASK = Request(TRADES, (("sequenceItemId", "1"),))


def far_away(**settings: Any) -> tuple[Session, Clock]:
    """A session beyond this machine, with limits and a clock that no other test shares."""
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
def test_a_proxy_that_cannot_be_used_is_refused_without_its_password(
    monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    session, clock = far_away()
    with pytest.raises(ConfigError, match="HTTPS_PROXY") as caught:
        session.send(ASK)

    assert (None, None) == (caught.value.__cause__, caught.value.__context__)
    assert "word@" not in str(caught.value)
    assert [] == clock.waits


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_nobody_answers_at_is_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    monkeypatch.setenv("HTTPS_PROXY", f"{scheme}://user:hush-hush@127.0.0.1:{port}")
    session, _ = far_away(attempts=2)
    with pytest.raises(ConnectionFailed, match="after 2 attempts: .*refused") as caught:
        session.send(ASK)

    assert "hush-hush" not in f"{caught.value} {caught.value!r}"


class TestProxies:
    """Which one is asked, and what is said of it."""

    def through(
        self, monkeypatch: pytest.MonkeyPatch, answer: Response, **settings: Any
    ) -> tuple[list[str], Exception]:
        """What a proxy was asked, and the error that its answer became."""
        with Wire(answer) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("//", "//us%40er:hush-hush@"))
            session, _ = far_away(**settings)
            with pytest.raises(TransportError) as caught:
                session.send(ASK)
            session.close()
            return proxy.heads, caught.value

    def test_one_that_wants_a_login_is_final_and_says_how_to_give_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        heads, error = self.through(monkeypatch, http(407, b"", Proxy_Authenticate="Basic"))

        assert (1, TransportError) == (len(heads), type(error))  # a wrong password, often enough, locks an account
        assert "the proxy requires a login; give it as HTTPS_PROXY=http://user:password@proxy:port" in str(error)
        assert "hush-hush" not in f"{error} {error!r}"

    def test_the_login_is_given(self, monkeypatch: pytest.MonkeyPatch) -> None:
        heads, _ = self.through(monkeypatch, http(407))
        login = base64.b64encode(b"us@er:hush-hush").decode()

        assert f"Proxy-Authorization: Basic {login}".lower() in heads[0].lower()

    def test_one_that_lets_nobody_through_is_final(self, monkeypatch: pytest.MonkeyPatch) -> None:
        heads, error = self.through(monkeypatch, http(403))

        assert (1, TransportError) == (len(heads), type(error))
        assert "the proxy refuses connections to this address (403); ask the operators of the proxy" in str(error)

    def test_one_that_is_busy_is_asked_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        heads, error = self.through(monkeypatch, http(503), attempts=3)

        assert (3, ConnectionFailed) == (len(heads), type(error))

    def test_one_that_speaks_http_alone_is_final_and_says_what_to_write(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def answer() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        connection.recv(65536)
                        connection.sendall(http(400))

        with socket.create_server(("127.0.0.1", 0)) as listener:
            threading.Thread(target=answer, daemon=True).start()
            monkeypatch.setenv("HTTPS_PROXY", f"https://127.0.0.1:{listener.getsockname()[1]}")
            session, _ = far_away()
            with pytest.raises(TransportError, match="after 1 attempt: the proxy speaks http, not https"):
                session.send(ASK)
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)

    def test_one_whose_name_is_not_found_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HTTPS_PROXY", "http://user:hush-hush@no-such-proxy.invalid:8080")
        session, _ = far_away(attempts=1)
        with pytest.raises(
            ConnectionFailed, match="not found: the proxy no-such-proxy.invalid has no address"
        ) as caught:
            session.send(ASK)

        assert "check HTTPS_PROXY" in str(caught.value)
        assert "hush-hush" not in f"{caught.value} {caught.value!r}"

    @pytest.mark.parametrize("excluded", ["no-such-host.invalid", ".invalid", "*", "other.example, invalid"])
    def test_what_is_excluded_is_reached_past_it(self, monkeypatch: pytest.MonkeyPatch, excluded: str) -> None:
        with Wire(http(502)) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", proxy.url)
            monkeypatch.setenv("NO_PROXY", excluded)
            session, _ = far_away(analytics_url="https://no-such-host.invalid", attempts=1)
            with pytest.raises(ConnectionFailed, match="the name was not found: no-such-host.invalid has no address"):
                session.send(ASK)

            assert [] == proxy.heads

    @pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
    def test_whatever_else_is_not_excluded(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        with Wire(http(502)) as proxy:
            monkeypatch.setenv(name, proxy.url)
            monkeypatch.setenv("NO_PROXY", "other.example")
            session, _ = far_away(attempts=1)
            with pytest.raises(ConnectionFailed):
                session.send(ASK)

            assert 1 == len(proxy.heads)


def test_a_name_that_is_not_found_is_said_so() -> None:
    session, clock = far_away(analytics_url="https://no-such-host.invalid", attempts=3)
    with pytest.raises(
        ConnectionFailed,
        match="after 3 attempts: the name was not found: no-such-host.invalid has no address here; check its spelling",
    ):
        session.send(ASK)

    assert 2 == len(clock.waits)  # a machine that wakes up has no network at first


def test_a_refused_connection_names_the_host_and_the_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    session, _ = far_away(analytics_url=f"https://127.0.0.1:{port}", attempts=1)
    with pytest.raises(
        ConnectionFailed, match=f"127.0.0.1 refused the connection at port {port}: nothing listens there"
    ):
        session.send(ASK)


@pytest.mark.parametrize(
    "code, match",
    [
        pytest.param(9, "not valid yet, and this machine's clock says 20..-.*; the clock is wrong", id="early"),
        pytest.param(-67819, "not valid yet", id="early-on-macos"),
        pytest.param(10, "has expired, and this machine's clock says 20..-.*; if the clock is wrong", id="expired"),
        pytest.param(0x800B0101, "has expired", id="expired-on-windows"),
        pytest.param(0x800B0101 - 2**32, "has expired", id="expired-on-windows-as-a-signed-number"),
        pytest.param(-67818, "has expired", id="expired-on-macos"),
        pytest.param(62, "for another name", id="name"),
        pytest.param(0x800B010F, "for another name", id="name-on-windows"),
        pytest.param(-67602, "for another name", id="name-on-macos"),
        pytest.param(20, "not trusted on this machine", id="unknown"),
        pytest.param(0x800B0109, "not trusted on this machine", id="unknown-on-windows"),
    ],
)
def test_a_certificate_that_is_refused_says_why_on_every_system(code: int, match: str) -> None:
    error = ssl.SSLCertVerificationError("no")
    error.verify_code = code
    kind, detail, remedy = classify(requests.exceptions.SSLError(error))

    assert TransportError is kind
    assert re.search(match, f"{detail}; {remedy}")


@pytest.mark.parametrize("code", [9, 10, 20])
def test_whatever_is_wrong_with_a_certificate_comes_with_a_remedy(code: int) -> None:
    error = ssl.SSLCertVerificationError("no")
    error.verify_code = code
    _, detail, remedy = classify(requests.exceptions.SSLError(error))

    assert detail.startswith("the server's certificate")
    assert len(remedy or "") > 10


def test_a_broken_connection_has_no_remedy() -> None:
    reset = requests.exceptions.ConnectionError(ConnectionResetError(104, "Connection reset by peer"))

    assert (ConnectionFailed, "Connection reset by peer", None) == classify(reset)


def tunnel(port: int) -> Response:
    """A proxy that lets everybody through to that port, whatever they want."""

    def answer(connection: socket.socket, head: str) -> None:
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with socket.create_connection(("127.0.0.1", port)) as server:
            back = threading.Thread(target=pump, args=(server, connection), daemon=True)
            back.start()
            pump(connection, server)
            back.join(5)

    return answer


def firsts(wire: Wire) -> list[str]:
    return [head.splitlines()[0] for head in wire.heads]


def pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while more := source.recv(65536):
            sink.sendall(more)
        sink.shutdown(socket.SHUT_WR)


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The server's own certificate."""
    return make_certificate(tmp_path_factory.mktemp("mine") / "made")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That of somebody else."""
    return make_certificate(tmp_path_factory.mktemp("other") / "made")


@needs_openssl
class TestTrust:
    """Who is believed when several could be: the explicit bundle, the environment's, the system's, certifi's."""

    @pytest.mark.parametrize(
        "explicit, environment, system, certifi, trusted",
        [
            pytest.param("mine", "other", "other", "other", True, id="the-explicit-bundle-wins"),
            pytest.param("other", "mine", "mine", "mine", False, id="even-if-it-does-not-know-the-server"),
            pytest.param("", "mine", "other", "other", True, id="then-the-environments"),
            pytest.param("", "other", "mine", "mine", False, id="even-if-it-does-not-either"),
            pytest.param("", "", "mine", "other", True, id="then-the-systems-store"),
            pytest.param("", "", "other", "mine", False, id="without-certifis-list"),
            pytest.param("", "", "", "mine", True, id="then-certifis-list"),
            pytest.param("", "", "", "other", False, id="and-that-is-all"),
        ],
    )
    @pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
    def test_the_first_that_is_there_decides(
        self, monkeypatch: pytest.MonkeyPatch, mine: Path, other: Path, variable: str,
        explicit: str, environment: str, system: str, certifi: str, trusted: bool,
    ) -> None:  # fmt: skip
        named = {"mine": mine, "other": other}
        if environment:
            monkeypatch.setenv(variable, str(named[environment]))
        store = SimpleNamespace(SSLContext=lambda protocol: ssl.create_default_context(cafile=named[system]))
        monkeypatch.setitem(sys.modules, "truststore", store if system else None)
        monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", str(named[certifi]))
        with serve_tls(mine) as (port, _):
            settings = {"ca_bundle": named[explicit]} if explicit else {}
            session, _ = far_away(analytics_url=f"https://127.0.0.1:{port}", **settings)
            if trusted:
                assert b"[1]" == session.send(ASK)
            else:
                with pytest.raises(TransportError, match="after 1 attempt: .*not trusted.*ca_bundle.*truststore"):
                    session.send(ASK)
            session.close()

    @pytest.mark.skipif(
        sys.platform in ("win32", "darwin"), reason="its store is the user's own, where SSL_CERT_FILE is not read"
    )
    def test_the_real_store_of_the_system_is_asked(self, monkeypatch: pytest.MonkeyPatch, mine: Path) -> None:
        pytest.importorskip("truststore")
        with serve_tls(mine) as (port, _):
            monkeypatch.setenv("SSL_CERT_FILE", str(mine))
            session, _ = far_away(analytics_url=f"https://127.0.0.1:{port}")
            assert b"[1]" == session.send(ASK)
            session.close()
            monkeypatch.delenv("SSL_CERT_FILE")
            session, _ = far_away(analytics_url=f"https://127.0.0.1:{port}")
            with pytest.raises(TransportError, match="not trusted"):
                session.send(ASK)

    def test_it_holds_through_a_proxy(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        certificate = make_certificate(tmp_path / "made", name="DNS:analytics.example")
        where = {"analytics_url": "https://analytics.example", "attempts": 1}
        with serve_tls(certificate) as (port, _), Wire(tunnel(port)) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", proxy.url)
            session, _ = far_away(**where, ca_bundle=certificate)
            assert b"[1]" == session.send(ASK)
            session.close()
            with pytest.raises(TransportError, match="not trusted"):
                far_away(**where)[0].send(ASK)

            assert ["CONNECT analytics.example:443"] * 2 == [head.rpartition(" HTTP")[0] for head in firsts(proxy)]
            assert [] == [head for head in proxy.heads if "X-API-KEY" in head.upper()]

    @pytest.mark.parametrize(
        "years, name, match",
        [
            pytest.param(("2090", "2099"), "IP:127.0.0.1", "not valid yet.*the clock is wrong, set it", id="early"),
            pytest.param(("2001", "2002"), "IP:127.0.0.1", "has expired.*if the clock is wrong, set it", id="late"),
            pytest.param(("", ""), "DNS:other.example", "is for another name", id="name"),
        ],
    )
    def test_a_signature_is_not_enough(self, tmp_path: Path, years: tuple[str, str], name: str, match: str) -> None:
        certificate = make_certificate(tmp_path / "made", *years, name)
        with serve_tls(certificate) as (port, tries):
            session, _ = far_away(analytics_url=f"https://127.0.0.1:{port}", ca_bundle=certificate)
            with pytest.raises(TransportError, match=match) as caught:
                session.send(ASK)

            assert (TransportError, 1) == (type(caught.value), len(tries))

    @pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PYTHONHTTPSVERIFY", "SSL_CERT_FILE"])
    @pytest.mark.parametrize("text", ["", "0", "false"])
    def test_nothing_switches_it_off(self, monkeypatch: pytest.MonkeyPatch, mine: Path, name: str, text: str) -> None:
        monkeypatch.setenv(name, text)
        with serve_tls(mine) as (port, _):
            session, _ = far_away(analytics_url=f"https://127.0.0.1:{port}", attempts=1)
            with pytest.raises(TransportError, match="not trusted|certificate bundle"):
                session.send(ASK)

    def test_no_setting_switches_it_off_either(self) -> None:
        with pytest.raises(ConfigError, match="'verify' is no setting"):
            Config.load(verify=False)
        with pytest.raises(ConfigError, match="ca_bundle"):
            Config(ca_bundle=False)  # type: ignore[arg-type]

    def test_a_bundle_that_is_not_there_is_a_wrong_setting(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="ca_bundle='.*gone.pem': there is no such file or folder"):
            far_away(ca_bundle=tmp_path / "gone.pem")


class TestCertificates:
    """What is said where nobody is trusted."""

    @pytest.fixture
    def certificate(self, tmp_path: Path) -> Path:
        """A certificate for this machine that nobody has signed, with its key."""
        return make_certificate(tmp_path / "made")

    @pytest.fixture
    def tls(self, certificate: Path) -> Iterator[tuple[str, list[socket.socket]]]:
        """A server with that certificate: where it is, and who tried to shake hands."""
        with serve_tls(certificate) as (port, tries):
            yield f"https://127.0.0.1:{port}", tries

    def session(self, url: str) -> Session:
        return far_away(analytics_url=url, reference_url=url, limiter="off")[0]

    @needs_openssl
    def test_one_that_is_not_trusted_is_final_and_says_what_to_set(self, tls: tuple[str, list[socket.socket]]) -> None:
        url, tries = tls
        with pytest.raises(TransportError, match="after 1 attempt: .*not trusted.* REQUESTS_CA_BUNDLE") as caught:
            self.session(url).send(ASK)

        assert (TransportError, False) == (type(caught.value), caught.value.transient)
        assert 1 == len(tries)

    @needs_openssl
    def test_one_that_the_bundle_holds_is_trusted(
        self, tls: tuple[str, list[socket.socket]], certificate: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))

        assert b"[1]" == self.session(tls[0]).send(ASK)

    def test_a_bundle_that_is_not_there_is_final_and_named(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "gone.pem"))
        with pytest.raises(TransportError, match="after 1 attempt: .*certificate bundle.*gone.pem") as caught:
            self.session("https://127.0.0.1:9").send(ASK)

        assert (TransportError, False) == (type(caught.value), caught.value.transient)
        assert "set Config.ca_bundle or REQUESTS_CA_BUNDLE to a file of certificates" == caught.value.remedy

    @pytest.mark.parametrize("text", ["", "no certificate"])
    def test_a_bundle_without_a_certificate_is_final_and_named(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str
    ) -> None:
        bundle = tmp_path / "bundle.pem"
        bundle.write_text(text, encoding="ascii")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
        with socket.create_server(("127.0.0.1", 0)) as listener:
            url = f"https://127.0.0.1:{listener.getsockname()[1]}"
            with pytest.raises(TransportError, match="after 1 attempt: .*REQUESTS_CA_BUNDLE"):
                self.session(url).send(ASK)
