"""The pooled connections of one client, and the end of all of them."""

from __future__ import annotations

import platform
import socket
import threading
from contextlib import suppress
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from weakref import WeakSet

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from .._version import __version__
from ..config import is_loopback
from ..status import Pool
from .trust import Trust

__all__ = ["Connections"]

USER_AGENT = f"trayport/{__version__} python/{platform.python_version()} requests/{requests.__version__}"
# What is decoded here, the API's default first; without the header it would send Brotli unasked (guide p. 38). Where
# Brotli cannot be imported, urllib3 has no decoder for it, and gzip is asked for first: see docs/performance.md.
_BROTLI = "br" in urllib3.util.request.ACCEPT_ENCODING.split(",")
ACCEPT_ENCODING = "br, gzip, deflate" if _BROTLI else "gzip, deflate"

# A firewall forgets a connection that is silent for long, and tells neither side: so the system asks now and then
# whether the other side is there, and a dead connection shows before it is used. macOS has a name of its own.
_KEPT_ALIVE = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *(
        (socket.IPPROTO_TCP, getattr(socket, name), value)
        for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPALIVE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
        if hasattr(socket, name)
    ),
]


class Connections(requests.Session):
    """A session that keeps ``workers`` connections to each of the two hosts, and remembers nothing else.

    It looks at no redirect, keeps no cookie, and looks for no password in ``~/.netrc``.
    """

    def __init__(self, workers: int, trust: Trust) -> None:
        super().__init__()
        self.trust = trust
        self.live = _Live()
        adapter = _Adapter(workers, trust, self.live)
        self.mount("https://", adapter)
        self.mount("http://", adapter)
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self.auth = _no_auth
        self.headers.update({"User-Agent": USER_AGENT, "Accept-Encoding": ACCEPT_ENCODING})

    def get_redirect_target(self, resp: requests.Response) -> None:
        """None: whatever the Location says, it is not followed."""

    def settings_for(self, url: str) -> dict[str, Any]:
        """What requests is to be told of the way to ``url``: the proxies of this machine, and whom to trust."""
        settings = dict(self.merge_environment_settings(url, {}, True, self.trust.verify, None))
        settings["verify"] = self.trust.verify  # whatever the environment says by now
        if is_loopback(url):
            settings["proxies"] = {}  # a sandbox on this machine is behind no proxy
        return settings

    def proxy_for(self, url: str) -> str | None:
        """The proxy on the way to ``url``, as it was given: with its password."""
        proxy: str | None = requests.utils.select_proxy(url, self.settings_for(url)["proxies"])
        return proxy

    def close(self) -> None:
        """Let go of every connection; those that wait for an answer get none."""
        super().close()
        self.live.end()


def _no_auth(prepared: requests.PreparedRequest) -> requests.PreparedRequest:
    return prepared


class _Live:
    """Every connection that is not forgotten yet; urllib3 itself knows only those that are idle."""

    def __init__(self) -> None:
        self._connections: WeakSet[HTTPConnection] = WeakSet()
        self._made = 0
        self._lock = threading.Lock()

    def noted(self, connection: Any) -> Any:
        with self._lock:
            self._connections.add(connection)
            self._made += 1
        return connection

    def counted(self, kept: int) -> Pool:
        """How many there are of those that may be kept, and how many there were."""
        with self._lock:
            return Pool(sum(connection.sock is not None for connection in self._connections), kept, self._made)

    def end(self) -> None:
        """Shut all of them, so that who waits for one does so no longer."""
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            sock: Any = connection.sock
            sock = getattr(sock, "socket", sock)  # TLS within a proxy's TLS has its socket inside
            if isinstance(sock, socket.socket):
                with suppress(OSError):
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)  # not TLS' own, which another thread may be in


class _Adapter(HTTPAdapter):
    """Pools of noted connections. Retries are ours (see `retries`), and so is the number of requests under way."""

    def __init__(self, workers: int, trust: Trust, live: _Live) -> None:
        self._trust, self._live = trust, live
        super().__init__(pool_connections=2, pool_maxsize=workers, max_retries=0)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **pool_kwargs: Any) -> None:
        super().init_poolmanager(connections, maxsize, block, **self._options(), **pool_kwargs)
        self._note(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **proxy_kwargs: Any) -> Any:
        known = proxy in self.proxy_manager
        context = self._trust.context
        more = {"proxy_ssl_context": context} if context and not proxy.lower().startswith("socks") else {}
        manager = super().proxy_manager_for(proxy, **self._options(), **more, **proxy_kwargs)
        if not known and isinstance(manager, urllib3.ProxyManager):
            self._note(manager)
        return manager

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        super().cert_verify(conn, url, verify, cert)  # type: ignore[no-untyped-call]
        if self._trust.context is not None and url.lower().startswith("https"):
            conn.ca_certs = None  # requests would add certifi's list to the operating system's

    def _options(self) -> dict[str, Any]:
        options: dict[str, Any] = {"socket_options": [*HTTPConnection.default_socket_options, *_KEPT_ALIVE]}
        return options if self._trust.context is None else {**options, "ssl_context": self._trust.context}

    def _note(self, manager: urllib3.PoolManager) -> None:
        live = self._live

        class Plain(HTTPConnectionPool):
            def _new_conn(self) -> Any:
                return live.noted(super()._new_conn())

        class Secure(HTTPSConnectionPool):
            def _new_conn(self) -> Any:
                return live.noted(super()._new_conn())

        manager.pool_classes_by_scheme = {"http": Plain, "https": Secure}
