"""The way to the APIs: the limit of the key, whose certificates are believed, the proxy, the hosts and the clock."""

from __future__ import annotations

import os
import platform
import urllib.request
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from urllib.parse import urlsplit

import pandas as pd

from ..config import Config, without_password
from ..errors import ConfigError, TransportError
from ..limits import limits_folder
from ..status import LimitStatus
from ..transport import AttemptResult, Connections, Trust, check_proxy, trust_of
from .checks import Check, not_checked

__all__ = ["certificates", "clock", "is_of_use", "limit", "host", "proxy", "server_time"]

# So far off, a question for the present minute may be one for the future.
_TOLERANCE = 5.0
_COMMANDS = {"Windows": "w32tm /resync", "Linux": "timedatectl set-ntp true", "Darwin": "sudo sntp -sS time.apple.com"}
_OTHERS = "does another program use the key? Wait a minute, and lower per_second for both"


def limit(standing: LimitStatus, limiter: str) -> Check:
    """Who shares it, and is it whole?"""
    used = f"{standing.used} requests were made in the last minute"
    if standing.kind == "private":
        why = f"this process has half of it for itself: {standing.why}"
        shared = f"let {limits_folder()} be a folder of your own on a disk of this machine, where it can be written"
        return Check("limit", "warning", why, "see that Redis answers there" if "://" in limiter else shared)
    if standing.slowed_until:
        until = f"{standing.slowed_until:%H:%M:%S} UTC"
        return Check("limit", "warning", f"slowed to {standing.share:.0%} until {until}: the API refused some", _OTHERS)
    if standing.kind == "memory":
        return Check("limit", "note", f"of this process alone; {used}", "limiter='file' shares it with your others")
    if standing.kind == "off":
        return Check("limit", "note", f"none, as only a sandbox can have it; {used}")
    shared = "through Redis" if standing.kind == "redis" else "by all your processes on this machine"
    return Check("limit", "ok", f"shared {shared}; {used}")


def certificates(config: Config) -> tuple[Check, Trust | None]:
    """Whose are believed?"""
    try:
        trust = trust_of(config.ca_bundle)
    except (ConfigError, OSError) as error:
        return Check("certificates", "failure", str(error), "correct ca_bundle (TRAYPORT_CA_BUNDLE)"), None
    if trust.bundle is not None:
        named = ["ca_bundle"] if config.ca_bundle else _set("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
        if not os.path.exists(trust.bundle):
            what = f"{named[0]} names {trust.bundle}, where there is nothing"
            return Check("certificates", "failure", what, f"correct {named[0]}, or take it away"), None
        return Check("certificates", "ok", f"those in {trust.bundle}, which {named[0]} names"), trust
    if trust.context is not None:
        return Check("certificates", "ok", "those that the operating system trusts (truststore)"), trust
    import certifi

    return Check("certificates", "ok", f"certifi's list, {certifi.where()}"), trust


def _set(*names: str) -> list[str]:
    return [name for name in names if os.environ.get(name)]


def proxy(config: Config, trust: Trust) -> Check:
    """Which one is between, if there is one? Its password is not shown."""
    ways = Connections(1, trust)
    found: dict[str, str] = {}
    try:
        for api, url in (("reference", config.reference_url), ("analytics", config.analytics_url)):
            if given := ways.proxy_for(url):
                check_proxy(given)
                found[api] = str(without_password(given) if "@" in given else given)
    except ConfigError as error:
        return Check("proxy", "failure", error.problem, error.remedy or "")
    finally:
        ways.close()
    if not found:
        return Check("proxy", "ok", "none: both APIs are asked directly")
    one = set(found.values())
    said = f"{one.pop()} for both APIs" if len(found) == 2 and len(one) == 1 else _each(found)
    source = "the environment" if urllib.request.getproxies_environment().keys() - {"no"} else "the system's settings"
    return Check("proxy", "note", f"{said}, as {source} says")


def _each(found: dict[str, str]) -> str:
    return ", ".join(f"{found.get(api, 'none')} for the {api} API" for api in ("reference", "analytics"))


# --- hosts -----------------------------------------------------------------------------------------------------------


def host(name: str, setting: str, url: str, answer: AttemptResult) -> Check:
    """Does the API answer at ``url``, which ``setting`` names, whatever it says of the key?"""
    who, error = urlsplit(url).netloc, answer.error
    if isinstance(error, TransportError):
        what, advice = error.detail, error.remedy
        what = what if (urlsplit(url).hostname or "") in what else f"{who}: {what}"
        return Check(name, "failure", what, advice or f"check {setting}, the network, the VPN and the proxy")
    status = answer.status or 0
    said = error.detail if error else ""
    if status == 429:
        return Check(name, "warning", f"{who} answers {_named(status)}", _OTHERS)
    if status >= 500:
        ids = f" with the X-Request-ID {error.request_id}" if error else ""
        advice = f"the fault is the server's: try again later, and if it lasts tell Trayport{ids}"
        return Check(name, "failure", f"{who} answers {_named(status, said)}", advice)
    if not is_of_use(answer):
        what = "a page instead of data" if status == 200 else _named(status, said)
        advice = f"is {setting} right? If it is, open it in a browser: a proxy may ask for a login there"
        return Check(name, "failure", f"{who} answers {what}", advice)
    return Check(name, "ok", f"{who} answered in {answer.seconds_to_headers * 1000:.0f} ms")


def _named(status: int, said: str = "") -> str:
    phrase = HTTPStatus(status).phrase if status in HTTPStatus.__members__.values() else ""
    more = f": {said}" if said and said.lower() != phrase.lower() else ""
    return f"{status} {phrase}".strip() + more


def is_of_use(answer: AttemptResult) -> bool:
    """Was it the API that answered, and can it be asked more? A refusal is an answer, too."""
    if answer.status == 200:
        return answer.error is None and not answer.body.lstrip().startswith(b"<")
    return answer.status in (400, 401, 403)


# --- the clock -------------------------------------------------------------------------------------------------------


def clock(answers: list[AttemptResult]) -> Check:
    """Does this machine's agree with the server's, as the Date header of the quickest answer tells it?"""
    offset = _ahead(answers)
    if offset is None:
        return not_checked("clock", "no answer told the time")
    ahead, doubt = offset
    if abs(ahead) - doubt > _TOLERANCE:
        way = "ahead of" if ahead > 0 else "behind"
        advice = f"set the clock of this machine: {_COMMANDS.get(platform.system(), 'in its settings')}"
        return Check("clock", "failure", f"{_lasting(abs(ahead))} {way} the server's", advice)
    return Check("clock", "ok", f"as the server's, within {max(abs(ahead), doubt):.0f} s" if doubt < _TOLERANCE else
                 f"as the server's, as far as an answer that took {2 * doubt:.0f} s can tell")  # fmt: skip


def server_time(now: pd.Timestamp, answers: list[AttemptResult]) -> pd.Timestamp:
    """The present moment by the server's clock, as far as it told it."""
    offset = _ahead(answers)
    return now if offset is None else now - pd.Timedelta(seconds=offset[0])


def _ahead(answers: list[AttemptResult]) -> tuple[float, float] | None:
    """Seconds by which this machine's clock is ahead, and by how many that may be wrong."""
    told = [
        (answer.seconds_to_headers, date, answer.received_at)
        for answer in answers
        if answer.received_at and (date := _date(answer.date))
    ]
    if not told:
        return None
    took, date, heard = min(told)
    # The header shows whole seconds, cut off; and it was written some time between question and answer.
    return (heard - date).total_seconds() - took / 2 - 0.5, took / 2 + 0.5


def _date(header: str | None) -> pd.Timestamp | None:
    try:
        moment = pd.Timestamp(parsedate_to_datetime(header or ""))
    except ValueError:
        return None
    return moment.tz_localize("UTC") if moment.tz is None else moment


def _lasting(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:,.0f} days"
