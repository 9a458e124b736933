"""Faults on the way to the server: transient ones of the network, and permanent ones of this environment."""

from __future__ import annotations

import datetime
import re
import ssl
from typing import TypeAlias

import requests
import urllib3
from urllib3.exceptions import NameResolutionError, NewConnectionError

from ..errors import ConnectionFailed, TimedOut, TransportError

__all__ = ["classify"]

_PERMANENT = (requests.exceptions.InvalidSchema, requests.exceptions.InvalidURL, requests.exceptions.InvalidHeader)
_NO_BUNDLE = "Could not find a suitable TLS CA certificate bundle"
_TRUST = (
    "behind a corporate proxy, set Config.ca_bundle or REQUESTS_CA_BUNDLE to the file of your company's certificates, "
    "or install the extra trayport[truststore], which trusts the certificates that the operating system trusts"
)
_LOGIN = (
    "give it as HTTPS_PROXY=http://user:password@proxy:port, with special characters percent-encoded; if the proxy "
    "requires a Windows login (NTLM, Kerberos), run a relay such as px on this machine"
)

# Codes of OpenSSL, and, through truststore, of Windows (CERT_E_EXPIRED, CERT_E_CN_NO_MATCH) and macOS
# (errSecCertificateNotValidYet, errSecCertificateExpired, errSecHostNameMismatch).
_TOO_EARLY = frozenset({9, -67819})
_TOO_LATE = frozenset({10, 0x800B0101, -67818})
_OTHER_NAME = frozenset({62, 64, 0x800B010F, -67602})

_Fault: TypeAlias = tuple[str, str | None]
"""A detail and its remedy, if there is one."""


def classify(caught: Exception) -> tuple[type[TransportError], str, str | None]:
    """Return the class of error for an exception on the way to the server, its detail in one line, and a remedy."""
    chain = _chain(caught)
    inner = chain[-1]
    proxied = any(isinstance(each, urllib3.exceptions.ProxyError | requests.exceptions.ProxyError) for each in chain)
    if isinstance(inner, ssl.SSLCertVerificationError):
        return TransportError, *_certificate_fault(inner)
    message = _message(inner)
    if _NO_BUNDLE in message or (isinstance(inner, ssl.SSLError) and inner.library == "X509"):
        return TransportError, message, "set Config.ca_bundle or REQUESTS_CA_BUNDLE to a file of certificates"
    if proxied and (final := _proxy_fault(inner, message)):
        return TransportError, *final
    if isinstance(caught, _PERMANENT):
        return TransportError, message, None
    if isinstance(caught, requests.Timeout | urllib3.exceptions.TimeoutError):
        return TimedOut, message, None
    if isinstance(caught, requests.RequestException | urllib3.exceptions.HTTPError | OSError):
        return ConnectionFailed, *(_connection_fault(inner, proxied) or (message, None))
    return TransportError, f"{type(caught).__name__} while sending", None


def _certificate_fault(error: ssl.SSLCertVerificationError) -> _Fault:
    code = getattr(error, "verify_code", 0)
    clock = f"this machine's clock says {datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC"
    if code in _TOO_EARLY:
        return f"the server's certificate is not valid yet, and {clock}", "the clock is wrong, set it"
    if code in _TOO_LATE or code & 0xFFFF_FFFF in _TOO_LATE:
        return (
            f"the server's certificate has expired, and {clock}",
            "if the clock is wrong, set it; otherwise the operator of the server, or of your company's proxy, has to "
            "renew the certificate",
        )
    if code in _OTHER_NAME or code & 0xFFFF_FFFF in _OTHER_NAME:
        return "the server's certificate is for another name: another server responds at this address", None
    return "the server's certificate is not trusted on this machine", _TRUST


def _proxy_fault(inner: BaseException, message: str) -> _Fault | None:
    """Return a permanent fault of the proxy: another attempt with a wrong password may lock the account."""
    if refused := re.search(r"Tunnel connection failed: (\d+)", message):
        status = int(refused[1])
        if status == 407:
            return "the proxy requires a login", _LOGIN
        if status in (401, 403):
            return f"the proxy refuses connections to this address ({status})", "ask the operators of the proxy"
    if isinstance(inner, ssl.SSLError) and inner.reason == "WRONG_VERSION_NUMBER":
        return (
            "the proxy speaks http, not https",
            "let HTTPS_PROXY begin with http://; the connection to the API is encrypted all the same",
        )
    return None


def _connection_fault(inner: BaseException, proxied: bool) -> _Fault | None:
    if not isinstance(inner, NewConnectionError) or inner.conn is None:
        return None
    host = f"the proxy {inner.conn.host}" if proxied else inner.conn.host
    if isinstance(inner, NameResolutionError):
        remedy = "check HTTPS_PROXY" if proxied else "check its spelling, the network and the VPN"
        return f"the name was not found: {host} has no address here", remedy
    if isinstance(inner.__cause__, ConnectionRefusedError):
        why = "nothing listens there, or a firewall blocks it"
        return f"{host} refused the connection at port {inner.conn.port}: {why}", None
    return None


def _chain(error: BaseException) -> list[BaseException]:
    """Return an exception and the ones that it wraps; the last is the cause, such as "Connection refused"."""
    seen: list[BaseException] = []
    inner: object = error
    while isinstance(inner, BaseException) and inner not in seen:
        seen.append(inner)
        nested = [part for part in inner.args if isinstance(part, BaseException)]
        inner = getattr(inner, "reason", None) or (nested[0] if nested else None)
    return seen


def _message(error: BaseException) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    # urllib3 writes the repr of the connection before the message, and the URL of a proxy may hold a password.
    return re.sub(r"//[^/\s@]*@", "//***@", text.rpartition(">: ")[2])
