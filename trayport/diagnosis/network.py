"""Checks of the network: certificates, the proxy, the rate limit, the two APIs and the clock."""

from __future__ import annotations

import os
import platform
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import pandas as pd

from ..config import Config, without_password
from ..errors import APIError, ConfigError, TransportError
from ..limits import limits_folder
from ..status import LimitStatus
from ..transport import AttemptResult, Connections, Trust, check_proxy, trust_of
from .checks import Check, not_checked

__all__ = ["api", "certificates", "clock", "is_usable", "limit", "proxy", "server_time"]

# Seconds. With a larger difference, a query up to the present minute may reach into the server's future.
_MAX_CLOCK_ERROR = 5.0
_SET_CLOCK = {"Windows": "w32tm /resync", "Linux": "timedatectl set-ntp true", "Darwin": "sudo sntp -sS time.apple.com"}
_SHARED_KEY = "if another program uses the key, lower per_second for both; wait a minute before the next query"


def certificates(config: Config) -> tuple[Check, Trust | None]:
    """Check the trusted certificates; return None for the trust if there is no such file."""
    try:
        trust = trust_of(config.ca_bundle)
    except (ConfigError, OSError) as error:
        remedy = "correct ca_bundle (TRAYPORT_CA_BUNDLE)"
        return Check("certificates", "failure", getattr(error, "problem", str(error)), remedy), None
    if trust.bundle is not None:
        variables = (name for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE") if os.environ.get(name))
        source = "ca_bundle" if config.ca_bundle else next(variables)
        if not os.path.exists(trust.bundle):
            finding = f"{source} is {trust.bundle}, which does not exist"
            return Check("certificates", "failure", finding, f"correct {source}, or remove it"), None
        return Check("certificates", "ok", f"those in {trust.bundle} ({source})"), trust
    if trust.context is not None:
        return Check("certificates", "ok", "those of the operating system (truststore)"), trust
    import certifi

    return Check("certificates", "ok", f"those of certifi, {certifi.where()}"), trust


def proxy(config: Config, trust: Trust) -> Check:
    """Check the proxy of each API, and show it without its password."""
    connections = Connections(1, trust)
    shown: dict[str, str] = {}
    try:
        for name, url in (("reference", config.reference_url), ("analytics", config.analytics_url)):
            if given := connections.proxy_for(url):
                check_proxy(given)
                shown[name] = str(without_password(given)) if "@" in given else given
    except ConfigError as error:
        return Check("proxy", "failure", error.problem, error.remedy)
    finally:
        connections.close()
    if not shown:
        return Check("proxy", "ok", "none; both APIs are reached directly")
    if len(shown) == 2 and len(set(shown.values())) == 1:
        finding = f"{shown['reference']} for both APIs"
    else:
        finding = ", ".join(f"{shown.get(name, 'none')} for the {name} API" for name in ("reference", "analytics"))
    is_variable = urllib.request.getproxies_environment().keys() - {"no"}
    return Check("proxy", "note", f"{finding}, from the {'environment' if is_variable else 'settings of the system'}")


def limit(status: LimitStatus, limiter: str) -> Check:
    """Check that the rate limit is shared as the settings ask for, and not slowed down."""
    used = f"{status.used} requests in the last minute"
    if status.kind == "private":
        remedy = f"make {limits_folder()} a folder of your own, on a disk of this machine, that can be written to"
        if "://" in limiter:
            remedy = "start Redis there, or correct limiter (TRAYPORT_LIMITER)"
        return Check("limit", "warning", f"this process has half of it for itself: {status.why}", remedy)
    if status.slowed_until:
        until = f"{status.slowed_until:%H:%M:%S} UTC"
        finding = f"slowed to {status.share:.0%} until {until}: the API refused requests"
        return Check("limit", "warning", finding, _SHARED_KEY)
    if status.kind == "memory":
        return Check("limit", "note", f"of this process alone; {used}", "limiter='file' shares it with your processes")
    if status.kind == "off":
        return Check("limit", "note", f"none, which only a sandbox allows; {used}")
    scope = "through Redis" if status.kind == "redis" else "by all your processes on this machine"
    return Check("limit", "ok", f"shared {scope}; {used}")


# --- the APIs --------------------------------------------------------------------------------------------------------


def api(name: str, setting: str, url: str, response: AttemptResult) -> Check:
    """Check that the API responds at the URL of a setting; a refused key is a response."""
    host, error = urlsplit(url).netloc, response.error
    if isinstance(error, TransportError):
        finding = error.detail if (urlsplit(url).hostname or "") in error.detail else f"{host}: {error.detail}"
        return Check(name, "failure", finding, error.remedy or f"check {setting}, the network, the VPN and the proxy")
    if is_usable(response):
        return Check(name, "ok", f"{host} responded in {response.seconds_to_headers * 1000:.0f} ms")
    finding = f"{host} responds with {error.reason if isinstance(error, APIError) else 'a page instead of data'}"
    if response.status == 429:
        return Check(name, "warning", finding, _SHARED_KEY)
    remedy = f"correct {setting}; if it is correct, open it in a browser, since a proxy may require a login there"
    if error and error.transient:
        remedy = f"try again later, and report the X-Request-ID {error.request_id} to Trayport if it lasts"
    return Check(name, "failure", finding, remedy)


def is_usable(response: AttemptResult) -> bool:
    """Return True if the response is the API's own, a refusal included, so that it can be sent more requests."""
    if response.status == 200:
        return response.error is None and not response.body.lstrip().startswith(b"<")
    return response.status in (400, 401, 403)


# --- the clock -------------------------------------------------------------------------------------------------------


def clock(responses: Sequence[AttemptResult]) -> Check:
    """Check this machine's clock against the server's, by the ``Date`` header of the fastest response."""
    offset = _clock_offset(responses)
    if offset is None:
        return not_checked("clock", "no response has the server's time")
    ahead, uncertainty = offset
    if abs(ahead) - uncertainty > _MAX_CLOCK_ERROR:
        direction = "ahead of" if ahead > 0 else "behind"
        remedy = f"set the clock of this machine: {_SET_CLOCK.get(platform.system(), 'in its settings')}"
        return Check("clock", "failure", f"{_duration(abs(ahead))} {direction} the server's", remedy)
    if uncertainty < _MAX_CLOCK_ERROR:
        return Check("clock", "ok", f"equal to the server's within {max(abs(ahead), uncertainty):.0f} s")
    return Check("clock", "ok", f"equal to the server's, as far as a response after {2 * uncertainty:.0f} s can show")


def server_time(now: pd.Timestamp, responses: Sequence[AttemptResult]) -> pd.Timestamp:
    """Return the present time by the server's clock, or by ours if no response has the server's time."""
    offset = _clock_offset(responses)
    return now if offset is None else now - pd.Timedelta(seconds=offset[0])


def _clock_offset(responses: Sequence[AttemptResult]) -> tuple[float, float] | None:
    """Return the seconds by which this machine's clock is ahead, and the uncertainty of that in seconds."""
    for response in sorted(responses, key=lambda each: each.seconds_to_headers):  # the fastest is the most exact
        if response.received_at is None:
            continue
        with suppress(ValueError):  # without the header, or with another text in it
            date = pd.to_datetime(parsedate_to_datetime(response.date or ""), utc=True)
            elapsed = response.seconds_to_headers
            # The header has whole seconds, cut off, and was written at some time between request and response.
            ahead = (response.received_at - date).total_seconds() - elapsed / 2 - 0.5
            return ahead, elapsed / 2 + 0.5
    return None


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:,.0f} days"
