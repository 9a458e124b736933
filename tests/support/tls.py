"""Self-signed certificates, and a server that uses one."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from .wire import http

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to create a certificate")


def make_certificate(folder: Path, start: str = "", end: str = "", name: str = "IP:127.0.0.1") -> Path:
    """Create a self-signed certificate and its key, valid from the start year to the end year; return their file."""
    folder.mkdir()
    (folder / "index").touch()
    (folder / "serial").write_text("01", encoding="ascii")
    (folder / "ca.cnf").write_text(
        "[ca]\ndefault_ca=mine\n[mine]\ndatabase=index\nserial=serial\nnew_certs_dir=.\ndefault_md=sha256\npolicy=any\n"
        f"[any]\ncommonName=supplied\n[more]\nsubjectAltName={name}\nbasicConstraints=critical,CA:TRUE\n"
        "keyUsage=digitalSignature,keyCertSign\n[req]\ndistinguished_name=name\n[name]\n",
        encoding="ascii",
    )
    request = (
        "req -config ca.cnf -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=x -keyout key -out req"
    )
    sign = f"ca -config ca.cnf -batch -notext -selfsign -keyfile key -in req -out public -extensions more -startdate {start or '2020'}0101000000Z -enddate {end or '2099'}0101000000Z"  # noqa: E501
    for command in (request, sign):
        subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)
    (folder / "both.pem").write_bytes((folder / "key").read_bytes() + (folder / "public").read_bytes())
    return folder / "both.pem"


@contextmanager
def serve_tls(certificate: Path) -> Iterator[tuple[int, list[socket.socket]]]:
    """Run a server with a certificate; yield its port and the list of connections to it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    connections: list[socket.socket] = []

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                connections.append(connection)
                with suppress(OSError), context.wrap_socket(connection, server_side=True) as wrapped:
                    wrapped.recv(65536)
                    wrapped.sendall(http(200, b"[1]"))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1], connections
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
