"""What an answer that is no answer says: a status and a body become one of ``errors``, without the key."""

from __future__ import annotations

import re
from typing import TypeAlias

import pandas as pd
import requests
import urllib3
from attrs import frozen

from ..config import Secret
from ..endpoints import Request
from ..errors import APIError, BadRequest, IntradayNotAllowed, NotAllowed, NotFound, RateLimited, ServerError
from ..wire import entitlement_params, error_detail

__all__ = ["MOST_OF_A_REASON", "Reader", "subject"]

MOST_OF_A_REASON = 300
_MOST_OF_AN_ERROR = 1 << 16

_ErrorOf: TypeAlias = type[APIError]
_STATUS: dict[int, _ErrorOf] = {400: BadRequest, 401: NotAllowed, 404: NotFound}


def subject(request: Request) -> tuple[object, ...]:
    """What a 403 is about: the endpoint, the product, and what else needs a right."""
    return request.endpoint.name, request.ids, entitlement_params(request.params)


@frozen
class Reader:
    """Reads errors for one key, which an answer may repeat."""

    _key: Secret

    def redacted(self, text: str) -> str:
        """``text`` without the key, however it is spelled."""
        return re.sub(re.escape(self._key.reveal()), "***", text, flags=re.IGNORECASE)

    def error(self, request: Request, response: requests.Response, today: pd.Timestamp) -> tuple[APIError, bytes]:
        """The error that a status other than 200 is, and the beginning of the body."""
        said = _beginning(response)
        # Redacted twice, since a key that JSON spells with escapes shows only when it is read.
        text = said[: _MOST_OF_AN_ERROR - len(self._key.reveal())].decode("utf-8", "replace")
        detail = self.redacted(error_detail(self.redacted(text)))[:MOST_OF_A_REASON]
        return self._kind(request, response, detail, today), said

    def _kind(self, request: Request, response: requests.Response, detail: str, today: pd.Timestamp) -> APIError:
        name, status = request.endpoint.name, response.status_code
        if status in (301, 302, 303, 307, 308):
            where = self.redacted(_host(response.headers.get("Location", "")))
            return APIError(name, status, f"redirects to {where}, which is not followed: the key would travel with it")
        if status == 401 and request.until is not None and request.until > today:
            return IntradayNotAllowed(name, status, detail)
        if status in (403, 429):
            return RateLimited(name, status, detail, retry_after=_number(response.headers.get("Retry-After")))
        kind = _STATUS.get(status, ServerError if status >= 500 else APIError)
        return kind(name, status, detail)


def _number(header: str | None) -> float | None:
    try:
        seconds = float(header) if header else -1.0
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None


def _beginning(response: requests.Response) -> bytes:
    """What an error's body begins with; nothing if it cannot be read, since the status says enough."""
    try:
        return bytes(response.raw.read(_MOST_OF_AN_ERROR, decode_content=True))
    except urllib3.exceptions.HTTPError:
        return b""


def _host(location: str) -> str:
    try:
        return urllib3.util.parse_url(location).host or "nowhere"
    except (ValueError, urllib3.exceptions.HTTPError):
        return "a place that is no URL"
