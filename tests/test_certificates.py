"""Certificates: the trusted ones, and the errors for all others."""

from __future__ import annotations

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
from support.bench import ASK
from support.fake import Clock
from support.tls import make_certificate, needs_openssl, serve_tls
from support.wire import Response, Wire

from trayport import Config, ConfigError, TransportError
from trayport.transport import Session
from trayport.transport.faults import classify


def remote_session(**settings: Any) -> tuple[Session, Clock]:
    """Return a session to another host, with a rate limit and a clock that no other test shares."""
    clock = Clock()
    return Session(Config(token_hex(), **settings), clock=clock, wait=clock.wait), clock


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
def test_error_has_the_reason_on_every_operating_system(code: int, match: str) -> None:
    error = ssl.SSLCertVerificationError("no")
    error.verify_code = code
    kind, detail, remedy = classify(requests.exceptions.SSLError(error))

    assert TransportError is kind
    assert re.search(match, f"{detail}; {remedy}")


@pytest.mark.parametrize("code", [9, 10, 20])
def test_error_has_a_remedy(code: int) -> None:
    error = ssl.SSLCertVerificationError("no")
    error.verify_code = code
    _, detail, remedy = classify(requests.exceptions.SSLError(error))

    assert detail.startswith("the server's certificate")
    assert len(remedy or "") > 10


def tunnel(port: int) -> Response:
    """Return a proxy that connects every request to a port of this machine."""

    def respond(connection: socket.socket, head: str) -> None:
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with socket.create_connection(("127.0.0.1", port)) as server:
            back = threading.Thread(target=pump, args=(server, connection), daemon=True)
            back.start()
            pump(connection, server)
            back.join(5)

    return respond


def pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while more := source.recv(65536):
            sink.sendall(more)
        sink.shutdown(socket.SHUT_WR)


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The certificate of the server."""
    return make_certificate(tmp_path_factory.mktemp("mine") / "made")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The certificate of another server."""
    return make_certificate(tmp_path_factory.mktemp("other") / "made")


@needs_openssl
class TestTrust:
    """Order of the trusted certificates: explicit bundle, environment, operating system, certifi."""

    @pytest.mark.parametrize(
        "explicit, environment, system, certifi, trusted",
        [
            pytest.param("mine", "other", "other", "other", True, id="explicit-bundle-first"),
            pytest.param("other", "mine", "mine", "mine", False, id="explicit-bundle-without-the-server"),
            pytest.param("", "mine", "other", "other", True, id="then-the-environment"),
            pytest.param("", "other", "mine", "mine", False, id="environment-without-the-server"),
            pytest.param("", "", "mine", "other", True, id="then-the-operating-system"),
            pytest.param("", "", "other", "mine", False, id="operating-system-without-the-server"),
            pytest.param("", "", "", "mine", True, id="then-certifi"),
            pytest.param("", "", "", "other", False, id="certifi-without-the-server"),
        ],
    )
    @pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
    def test_first_source_decides(
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
            session, _ = remote_session(analytics_url=f"https://127.0.0.1:{port}", **settings)
            if trusted:
                assert b"[1]" == session.send(ASK)
            else:
                with pytest.raises(TransportError, match="after 1 attempt: .*not trusted.*ca_bundle.*truststore"):
                    session.send(ASK)
            session.close()

    @pytest.mark.skipif(
        sys.platform in ("win32", "darwin"), reason="the operating system's store does not read SSL_CERT_FILE"
    )
    def test_store_of_the_operating_system_is_used(self, monkeypatch: pytest.MonkeyPatch, mine: Path) -> None:
        pytest.importorskip("truststore")
        with serve_tls(mine) as (port, _):
            monkeypatch.setenv("SSL_CERT_FILE", str(mine))
            session, _ = remote_session(analytics_url=f"https://127.0.0.1:{port}")
            assert b"[1]" == session.send(ASK)
            session.close()
            monkeypatch.delenv("SSL_CERT_FILE")
            session, _ = remote_session(analytics_url=f"https://127.0.0.1:{port}")
            with pytest.raises(TransportError, match="not trusted"):
                session.send(ASK)

    def test_certificate_is_verified_through_a_proxy(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        certificate = make_certificate(tmp_path / "made", name="DNS:analytics.example")
        where = {"analytics_url": "https://analytics.example", "attempts": 1}
        with serve_tls(certificate) as (port, _), Wire(tunnel(port)) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", proxy.url)
            session, _ = remote_session(**where, ca_bundle=certificate)
            assert b"[1]" == session.send(ASK)
            session.close()
            with pytest.raises(TransportError, match="not trusted"):
                remote_session(**where)[0].send(ASK)

            assert ["CONNECT analytics.example:443"] * 2 == [head.partition(" HTTP")[0] for head in proxy.heads]
            assert [] == [head for head in proxy.heads if "X-API-KEY" in head.upper()]

    @pytest.mark.parametrize(
        "years, name, match",
        [
            pytest.param(("2090", "2099"), "IP:127.0.0.1", "not valid yet.*the clock is wrong, set it", id="early"),
            pytest.param(("2001", "2002"), "IP:127.0.0.1", "has expired.*if the clock is wrong, set it", id="late"),
            pytest.param(("", ""), "DNS:other.example", "is for another name", id="name"),
        ],
    )
    def test_certificate_of_another_time_or_name_is_refused(
        self, tmp_path: Path, years: tuple[str, str], name: str, match: str
    ) -> None:
        certificate = make_certificate(tmp_path / "made", *years, name)
        with serve_tls(certificate) as (port, tries):
            session, _ = remote_session(analytics_url=f"https://127.0.0.1:{port}", ca_bundle=certificate)
            with pytest.raises(TransportError, match=match) as caught:
                session.send(ASK)

            assert (TransportError, 1) == (type(caught.value), len(tries))

    @pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PYTHONHTTPSVERIFY", "SSL_CERT_FILE"])
    @pytest.mark.parametrize("text", ["", "0", "false"])
    def test_no_variable_switches_verification_off(
        self, monkeypatch: pytest.MonkeyPatch, mine: Path, name: str, text: str
    ) -> None:
        monkeypatch.setenv(name, text)
        with serve_tls(mine) as (port, _):
            session, _ = remote_session(analytics_url=f"https://127.0.0.1:{port}", attempts=1)
            with pytest.raises(TransportError, match="not trusted|certificate bundle"):
                session.send(ASK)

    def test_no_setting_switches_verification_off(self) -> None:
        with pytest.raises(ConfigError, match="'verify' is no setting"):
            Config.load(verify=False)
        with pytest.raises(ConfigError, match="ca_bundle"):
            Config(ca_bundle=False)  # type: ignore[arg-type]

    def test_missing_bundle_is_a_config_error(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="ca_bundle='.*gone.pem': there is no such file or folder"):
            remote_session(ca_bundle=tmp_path / "gone.pem")


class TestCertificates:
    """Errors for a certificate that is not trusted, or a bundle that cannot be read."""

    @pytest.fixture
    def certificate(self, tmp_path: Path) -> Path:
        """A self-signed certificate for this machine, with its key."""
        return make_certificate(tmp_path / "made")

    @pytest.fixture
    def tls(self, certificate: Path) -> Iterator[tuple[str, list[socket.socket]]]:
        """A server with that certificate: its URL, and the connections to it."""
        with serve_tls(certificate) as (port, tries):
            yield f"https://127.0.0.1:{port}", tries

    def session(self, url: str) -> Session:
        return remote_session(analytics_url=url, reference_url=url, limiter="off")[0]

    @needs_openssl
    def test_untrusted_certificate_is_final_and_has_a_remedy(self, tls: tuple[str, list[socket.socket]]) -> None:
        url, tries = tls
        with pytest.raises(TransportError, match="after 1 attempt: .*not trusted.* REQUESTS_CA_BUNDLE") as caught:
            self.session(url).send(ASK)

        assert (TransportError, False) == (type(caught.value), caught.value.transient)
        assert 1 == len(tries)

    @needs_openssl
    def test_certificate_in_the_bundle_is_trusted(
        self, tls: tuple[str, list[socket.socket]], certificate: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))

        assert b"[1]" == self.session(tls[0]).send(ASK)

    def test_missing_bundle_of_the_environment_is_final_and_named(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "gone.pem"))
        with pytest.raises(TransportError, match="after 1 attempt: .*certificate bundle.*gone.pem") as caught:
            self.session("https://127.0.0.1:9").send(ASK)

        assert (TransportError, False) == (type(caught.value), caught.value.transient)
        assert "set Config.ca_bundle or REQUESTS_CA_BUNDLE to a file of certificates" == caught.value.remedy

    @pytest.mark.parametrize("text", ["", "no certificate"])
    def test_bundle_without_a_certificate_is_final(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str
    ) -> None:
        bundle = tmp_path / "bundle.pem"
        bundle.write_text(text, encoding="ascii")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
        with socket.create_server(("127.0.0.1", 0)) as listener:
            url = f"https://127.0.0.1:{listener.getsockname()[1]}"
            with pytest.raises(TransportError, match="after 1 attempt: .*REQUESTS_CA_BUNDLE"):
                self.session(url).send(ASK)
