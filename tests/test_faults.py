"""What keeps a request from leaving: proxies and certificates of this machine, named without their secrets."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from support.fake import Clock
from support.wire import http

from trayport import Config, ConfigError, ConnectionFailed, TransportError
from trayport.endpoints import TRADES, Request
from trayport.transport import Session

ASK = Request(TRADES, (("sequenceItemId", "1"),))

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")


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


class TestCertificates:
    """Who is trusted, and what is said where nobody is."""

    @pytest.fixture
    def certificate(self, tmp_path: Path) -> Path:
        """A certificate for this machine that nobody has signed, with its key."""
        path = tmp_path / "self-signed.pem"
        public = tmp_path / "public.pem"
        command = (
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1"
        )
        more = "-addext subjectAltName=IP:127.0.0.1 -addext keyUsage=digitalSignature,keyCertSign"
        files = ["-keyout", str(path), "-out", str(public)]
        subprocess.run([*command.split(), *more.split(), *files], check=True, capture_output=True)
        path.write_bytes(path.read_bytes() + public.read_bytes())
        return path

    @pytest.fixture
    def tls(self, certificate: Path) -> Iterator[tuple[str, list[socket.socket]]]:
        """A server with that certificate: where it is, and who tried to shake hands."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        tries: list[socket.socket] = []

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    tries.append(connection)
                    with suppress(OSError), context.wrap_socket(connection, server_side=True) as wrapped:
                        wrapped.recv(65536)
                        wrapped.sendall(http(200, b"[1]"))

        with socket.create_server(("127.0.0.1", 0)) as listener:
            threading.Thread(target=serve, daemon=True).start()
            yield f"https://127.0.0.1:{listener.getsockname()[1]}", tries
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)

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
