"""Connections of one client: pooled, trusted, and closed together.

Page numbers refer to the API guide, see docs/sources.md.
"""

from __future__ import annotations

import os
import platform
import re
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit
from weakref import WeakSet

import requests
import urllib3
from attrs import frozen
from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util.retry import Retry

from .._version import __version__
from ..config import is_loopback
from ..errors import ConfigError
from ..status import Pool

__all__ = ["Auth", "Connections", "Trust", "check_adapter", "check_auth", "check_proxy", "trust_of"]

Auth: TypeAlias = Callable[[requests.PreparedRequest], requests.PreparedRequest]
"""A callable that adds a login to a request, such as a ``requests.auth.AuthBase``."""

_USER_AGENT = f"trayport/{__version__} python/{platform.python_version()} requests/{requests.__version__}"
# The encodings that are decoded here, the API's default first: without the header it sends Brotli (guide p. 38).
# Where Brotli is not installed, urllib3 cannot decode it, and gzip comes first: see docs/performance.md.
_HAS_BROTLI = "br" in urllib3.util.request.ACCEPT_ENCODING.split(",")
_ACCEPT_ENCODING = "br, gzip, deflate" if _HAS_BROTLI else "gzip, deflate"

# Firewalls drop a connection that is silent for long and notify neither side. Keep-alive probes after 30 s, every 10 s,
# show after three failures that a connection is dead, before it is used. macOS has a name of its own for the first.
_KEEP_ALIVE = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *(
        (socket.IPPROTO_TCP, getattr(socket, name), value)
        for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPALIVE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
        if hasattr(socket, name)
    ),
]


@frozen
class Trust:
    """The trusted certificates: a bundle, the operating system's store, or certifi's list if neither is given."""

    bundle: str | None = None
    context: ssl.SSLContext | None = None

    @property
    def verify(self) -> str | bool:
        """The ``verify`` argument of requests; verification cannot be switched off."""
        return self.bundle or True


def trust_of(bundle: Path | None) -> Trust:
    """Return the trusted certificates: the given bundle, the environment's, truststore's, or certifi's.

    Raises ``ConfigError`` if the given bundle does not exist.
    """
    if bundle is not None:
        if not bundle.exists():
            raise ConfigError(
                f"ca_bundle={str(bundle)!r}: there is no such file or folder of certificates",
                "correct it, or remove it",
                settings=("ca_bundle",),
            )
        return Trust(bundle=str(bundle))
    # requests reads both variables; the second is curl's.
    variable = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    if variable:
        return Trust(bundle=variable)
    try:
        import truststore
    except ImportError:
        return Trust()
    return Trust(context=truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT))


class Connections(requests.Session):
    """A requests session that keeps ``workers`` connections to each of the two hosts.

    It follows no redirect, keeps no cookie, and takes no password from ``~/.netrc``. A user's ``adapter`` replaces the
    pool of this class: its sockets are then neither counted nor shut down by ``close``.
    """

    def __init__(
        self, workers: int, trust: Trust, adapter: BaseAdapter | None = None, auth: Auth | None = None
    ) -> None:
        super().__init__()
        self.trust = trust
        self._workers = workers
        self._opened: WeakSet[HTTPConnection] = WeakSet()  # urllib3 itself knows only the idle ones
        self._opened_count = 0
        self._lock = threading.Lock()
        adapter = adapter or _Adapter(workers, trust, self._record)
        self.mount("https://", adapter)
        self.mount("http://", adapter)
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self.auth = auth or (lambda prepared: prepared)  # without one, requests reads ~/.netrc
        self.headers.update({"User-Agent": _USER_AGENT, "Accept-Encoding": _ACCEPT_ENCODING})

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Return None, so that no redirect is followed."""

    def settings_for(self, url: str) -> dict[str, Any]:
        """Return the arguments of ``send`` for a URL: the proxies of the environment, and the trusted certificates."""
        settings = dict(self.merge_environment_settings(url, {}, True, self.trust.verify, None))
        settings["verify"] = self.trust.verify  # the environment may have changed since
        if is_loopback(url):
            settings["proxies"] = {}  # no proxy leads to a sandbox on this machine
        return settings

    def proxy_for(self, url: str) -> str | None:
        """Return the URL of the proxy for a URL, with its password, or None."""
        proxy: str | None = requests.utils.select_proxy(url, self.settings_for(url)["proxies"])
        return proxy

    def pool_status(self) -> Pool:
        """Return the number of open, kept and opened connections."""
        with self._lock:
            return Pool(sum(each.sock is not None for each in self._opened), self._workers, self._opened_count)

    def close(self) -> None:
        """Close every connection; requests that wait for a response fail."""
        super().close()
        with self._lock:
            connections = list(self._opened)
        for connection in connections:
            sock: Any = connection.sock
            sock = getattr(sock, "socket", sock)  # TLS within a proxy's TLS wraps the socket
            if isinstance(sock, socket.socket):
                with suppress(OSError):
                    # Not the TLS socket's own shutdown, since another thread may be reading from it.
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def _record(self, connection: HTTPConnection) -> HTTPConnection:
        with self._lock:
            self._opened.add(connection)
            self._opened_count += 1
        return connection


class _Adapter(HTTPAdapter):
    """Connection pools that record their connections. Retries are made by ``Session``."""

    def __init__(self, workers: int, trust: Trust, record: Callable[[Any], Any]) -> None:
        self._trust, self._record = trust, record
        super().__init__(pool_connections=2, pool_maxsize=workers, max_retries=0)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **pool_kwargs: Any) -> None:
        super().init_poolmanager(connections, maxsize, block, **self._options(), **pool_kwargs)
        self._record_connections(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **proxy_kwargs: Any) -> Any:
        is_known = proxy in self.proxy_manager
        context = self._trust.context
        more = {"proxy_ssl_context": context} if context and not proxy.lower().startswith("socks") else {}
        manager = super().proxy_manager_for(proxy, **self._options(), **more, **proxy_kwargs)
        if not is_known and isinstance(manager, urllib3.ProxyManager):
            self._record_connections(manager)
        return manager

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        super().cert_verify(conn, url, verify, cert)  # type: ignore[no-untyped-call]
        if self._trust.context is not None and url.lower().startswith("https"):
            conn.ca_certs = None  # requests would add certifi's list to the operating system's

    def _options(self) -> dict[str, Any]:
        options: dict[str, Any] = {"socket_options": [*HTTPConnection.default_socket_options, *_KEEP_ALIVE]}
        return options if self._trust.context is None else {**options, "ssl_context": self._trust.context}

    def _record_connections(self, manager: urllib3.PoolManager) -> None:
        record = self._record

        class Plain(HTTPConnectionPool):
            def _new_conn(self) -> Any:
                return record(super()._new_conn())

        class Secure(HTTPSConnectionPool):
            def _new_conn(self) -> Any:
                return record(super()._new_conn())

        manager.pool_classes_by_scheme = {"http": Plain, "https": Secure}


def check_proxy(proxy: str | None) -> None:
    """Raise ``ConfigError`` if a proxy's URL is not valid; the error does not show it: it may hold a password."""
    if proxy is None:
        return
    try:
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        good = bool(parts.hostname) and parts.port != 0 and parts.path in ("", "/")
        good = good and not re.search(r"[\\?#\s]", proxy) and ("@" not in proxy or "://" in proxy)
        proxy.encode("latin-1")
    except ValueError:
        good = False
    if not good:
        raise ConfigError(
            "the proxy of this machine (HTTPS_PROXY, or the system's settings) is no URL such as "
            "'http://proxy.example:8080'",
            "correct it, with special characters of its user and password percent-encoded",
        )


def check_adapter(adapter: object) -> None:
    """Raise ``ConfigError`` if a user's adapter is not an adapter, or makes retries.

    Its retries would be requests that take no permit of the rate limit.
    """
    if adapter is None:
        return
    kind = type(adapter).__name__  # not its repr, which may hold a recorded request
    if not isinstance(adapter, BaseAdapter):
        raise ConfigError(f"adapter must be a requests.adapters.BaseAdapter, not a {kind}")
    retries = getattr(adapter, "max_retries", None) or 0
    retries = retries if isinstance(retries, Retry) else Retry(retries)
    # ``total`` bounds the others, which are unlimited where they are None.
    counts = (retries.connect, retries.read, retries.redirect, retries.status, retries.other)
    if (retries.total is None or retries.total) and any(count is None or count for count in counts):
        raise ConfigError(
            f"adapter, a {kind}, makes retries of its own, which take no permit of the rate limit",
            "make it with max_retries=0, and set the number of attempts with Config.attempts",
        )


def check_auth(auth: object) -> None:
    """Raise ``ConfigError`` if a user's auth object cannot be called."""
    if auth is not None and not callable(auth):
        raise ConfigError(f"auth must be a requests.auth.AuthBase or another callable, not a {type(auth).__name__}")
