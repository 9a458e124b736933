"""``trayport metrics``: serve the key's rate limit and the counts of all processes to Prometheus."""

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
from ..metrics import SHARED_KINDS, page_registry
from .sandbox import reason, whole

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

NAME = "metrics"
HELP = "serve the rate limit of the key and the counts of all processes to Prometheus, until Ctrl-C"

PORT, ADDRESS = 9464, "127.0.0.1"

_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"  # prometheus_client's own


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for the port and the address."""
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
        registry = page_registry(client.status, folder)
        lines = f"  limit   {_limit_line(client, folder)}\n  counts  {_counts_line(folder)}"
        with _listen(options, registry) as server, suppress(KeyboardInterrupt):
            print(f"Metrics are at {server.url}. Ctrl-C ends this.\n{lines}", file=sys.stderr, flush=True)
            server.serve_forever()  # it wakes up every half second, since on Windows Ctrl-C does not end a wait


def _limit_line(client: Client, folder: str) -> str:
    """Return the state of the rate limit; raise ``ConfigError`` if there is neither a key nor a folder of counts."""
    try:
        limiter = client.status().limiter
    except ConfigError as error:
        if not folder:
            raise
        return f"none: {error}"
    if limiter.kind in SHARED_KINDS:
        return str(limiter)
    return f"{limiter}. Each process has a rate limit of its own, and this page shows only the one of this process"


def _counts_line(folder: str) -> str:
    """Return the origin of the counts, or the action that is needed for them."""
    if not folder:
        return f"none: set {_VARIABLE} to a folder, for this command and for all processes that are counted"
    if not Path(folder).is_dir():
        return f"none yet: {_VARIABLE}={folder} is no folder; create it before the processes start that are counted"
    return f"the sum of all processes in {folder}"


class _Server(ThreadingHTTPServer):
    """HTTP server of one page, at every path."""

    # On Windows this option would let two servers share a port.
    allow_reuse_address = os.name != "nt"

    def __init__(self, address: str, port: int, registry: CollectorRegistry) -> None:
        from prometheus_client import MetricsHandler

        found = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        self.address_family, resolved = found[0][0], found[0][-1]
        # The given port, since the look-up turns a number above 65535 into another port instead of refusing it.
        own: Any = (resolved[0], port, *resolved[2:])
        super().__init__(own, MetricsHandler.factory(registry))

    @property
    def url(self) -> str:
        """URL of the page."""
        host, port = map(str, self.server_address[:2])
        return f"http://{f'[{host}]' if ':' in host else host}:{port}/metrics"

    def server_bind(self) -> None:
        """Bind without looking up the name of this machine, which can take seconds without a network."""
        TCPServer.server_bind(self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print an error, unless the reader has closed the connection."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


def _listen(options: argparse.Namespace, registry: CollectorRegistry) -> _Server:
    try:
        return _Server(options.address, options.port, registry)
    except (OSError, OverflowError, UnicodeError) as error:
        raise ConfigError(
            f"cannot listen on port {options.port} of {options.address}: {reason(error)}",
            "--port 0 takes any free port",
        ) from None
