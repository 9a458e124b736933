"""``trayport metrics``: the limit of the key, and what all processes counted, for Prometheus to fetch."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from contextlib import suppress
from http.server import ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from typing import TYPE_CHECKING, Any

from ..client import Client
from ..errors import ConfigError
from ..metrics import prometheus
from .sandbox import reason, whole

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

NAME = "metrics"
HELP = "serve the limit of the key and what all processes counted to Prometheus, until Ctrl-C"

PORT, ADDRESS = 9464, "127.0.0.1"

_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"  # prometheus_client's own


def add_options(parser: argparse.ArgumentParser) -> None:
    """Where it listens."""
    parser.add_argument(
        "--port", type=whole, default=PORT, metavar="N",
        help="the port to listen on; 0 for any free one (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--address", default=ADDRESS, help="the address to listen on; 0.0.0.0 for all (default: %(default)s)"
    )


def run(options: argparse.Namespace) -> None:
    """Serve until Ctrl-C."""
    folder = os.environ.get(_VARIABLE, "")
    with Client() as client:
        page = prometheus.page(client.status, folder)
        lines = f"  limit   {_limit(client, folder)}\n  counts  {_counts(folder)}"
        with _listening(options, page) as server, suppress(KeyboardInterrupt):
            print(f"Metrics are at {server.url}. Ctrl-C ends this.\n{lines}", file=sys.stderr, flush=True)
            server.serve_forever()  # looks up every half second: on Windows, Ctrl-C does not end a wait


def _limit(client: Client, folder: str) -> str:
    """How the limit stands. Without a key there is none, and without counts there is then nothing to serve."""
    try:
        limiter = client.status().limiter
    except ConfigError as error:
        if not folder:
            raise
        return f"none: {error}"
    if limiter.kind in prometheus.SHARED:
        return str(limiter)
    return f"{limiter}. Each process has its own, so this one tells nothing of the others"


def _counts(folder: str) -> str:
    """Where they come from, or how to get them."""
    if not folder:
        return f"none: set {_VARIABLE} to a folder, for this command and for all processes that count"
    if not Path(folder).is_dir():
        return f"none yet: {_VARIABLE}={folder} is no folder; make it before processes start that count"
    return f"the sum of all processes in {folder}"


class _Server(ThreadingHTTPServer):
    """Serves one page, whatever the path."""

    # On Windows the option would let two servers share a port.
    allow_reuse_address = os.name != "nt"

    def __init__(self, address: str, port: int, page: CollectorRegistry) -> None:
        from prometheus_client import MetricsHandler

        found = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        self.address_family, where = found[0][0], found[0][-1]
        own: Any = (where[0], port, *where[2:])  # the look-up makes some port of any number
        super().__init__(own, MetricsHandler.factory(page))

    @property
    def url(self) -> str:
        """Where it listens."""
        host, port = map(str, self.server_address[:2])
        return f"http://{f'[{host}]' if ':' in host else host}:{port}/metrics"

    def server_bind(self) -> None:
        """Without the look-up of this machine's own name, which can take seconds where there is no network."""
        TCPServer.server_bind(self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A reader that hangs up is no news."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


def _listening(options: argparse.Namespace, page: CollectorRegistry) -> _Server:
    try:
        return _Server(options.address, options.port, page)
    except (OSError, OverflowError, UnicodeError) as error:
        raise ConfigError(
            f"cannot listen on port {options.port} of {options.address}: {reason(error)}; --port 0 takes any free one"
        ) from None
