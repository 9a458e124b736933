"""What keeps a request from being answered: faults of the line, which may pass, and of this machine, which stay."""

from __future__ import annotations

import re
import ssl
from urllib.parse import urlsplit

import requests
import urllib3

from ..errors import ConfigError, ConnectionFailed, TimedOut, TransportError

_STAYS = (requests.exceptions.InvalidSchema, requests.exceptions.InvalidURL, requests.exceptions.InvalidHeader)
_NO_BUNDLE = "Could not find a suitable TLS CA certificate bundle"
_NOT_TRUSTED = (
    "the server's certificate is not trusted on this machine; behind a corporate proxy, set REQUESTS_CA_BUNDLE to the "
    "file of your company's certificates"
)


def sort_out(caught: Exception) -> tuple[type[TransportError], str]:
    """The kind of error that an exception on the way to the server is, and its reason in one line."""
    inner = _innermost(caught)
    if isinstance(inner, ssl.SSLCertVerificationError):
        return TransportError, _NOT_TRUSTED
    reason = _reason(inner)
    if _NO_BUNDLE in reason or (isinstance(inner, ssl.SSLError) and inner.library == "X509"):
        return TransportError, f"{reason} (REQUESTS_CA_BUNDLE is to name a file of certificates)"
    if isinstance(caught, _STAYS):
        return TransportError, reason
    if isinstance(caught, requests.Timeout | urllib3.exceptions.TimeoutError):
        return TimedOut, reason
    if isinstance(caught, requests.RequestException | urllib3.exceptions.HTTPError | OSError):
        return ConnectionFailed, reason
    return TransportError, f"{type(caught).__name__} while sending"


def check_proxy(proxy: str | None) -> None:
    """Refuse a proxy that cannot be used, without a word of it: it may hold a password."""
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
            "'http://proxy.example:8080'; special characters in its user or password have to be percent-encoded"
        )


def _innermost(error: BaseException) -> BaseException:
    """What went wrong beneath the wrappers: "Connection refused" rather than a chain of retries."""
    seen: list[BaseException] = []
    inner: object = error
    while isinstance(inner, BaseException) and inner not in seen:
        seen.append(inner)
        nested = [part for part in inner.args if isinstance(part, BaseException)]
        inner = getattr(inner, "reason", None) or (nested[0] if nested else None)
    return seen[-1]


def _reason(error: BaseException) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    # urllib3 puts the repr of the connection before the reason; and a proxy's URL may hold a password.
    return re.sub(r"//[^/\s@]*@", "//***@", text.rpartition(">: ")[2])
