"""Responses to refused requests, and the bodies that other systems in front of the API may send instead."""

from __future__ import annotations

import datetime
import email.utils
import html
import math
from collections.abc import Callable
from http import HTTPStatus

from attrs import evolve

from .listener import HttpResponse, refusal
from .parameters import Refused
from .payload import document
from .switches import Refusals, Switches
from .throttle import Throttled


def response_to(refused: Refused, switches: Switches, now: datetime.datetime) -> HttpResponse:
    """Return the response to a refused request."""
    if isinstance(refused, Throttled):
        status = 403 if refused.forbidden else switches.throttling
        headers = _retry_after(refused.wait, switches, now)
        return evolve(with_status(status, switches, refused), headers=headers)
    headers = (("Allow", "GET"),) if refused.status == 405 else ()
    return evolve(with_status(refused.status, switches, refused), headers=headers)


def with_status(status: int, switches: Switches, refused: Refused | None = None) -> HttpResponse:
    """Return a response of a status, in the shape that the switch ``refusals`` selects."""
    title = refused.title if refused and refused.status == status else reason_phrase(status)
    # The body of a 400 is known; of the other statuses only these are documented without a body.
    if switches.refusals != "problem" and status in (401, 403, 404, 429):
        return _SHAPES[switches.refusals](status, title)
    if refused is None:
        return refusal(status, title)
    if refused.errors is not None:
        return refusal(status, title, errors=refused.errors)
    return refusal(status, title, detail=f"{refused.rule}.")


def _retry_after(wait: float, switches: Switches, now: datetime.datetime) -> tuple[tuple[str, str], ...]:
    seconds = max(1, math.ceil(wait))
    if switches.retry_after == "seconds":
        return (("Retry-After", str(seconds)),)
    if switches.retry_after == "date":
        when = (now + datetime.timedelta(seconds=seconds, microseconds=999_999)).replace(microsecond=0)
        return (("Retry-After", email.utils.format_datetime(when, usegmt=True)),)
    return ()


def reason_phrase(status: int) -> str:
    """Return the reason phrase of a status; an empty text if it has none."""
    return HTTPStatus(status).phrase if status in HTTPStatus.__members__.values() else ""


def gateway_page(status: int) -> str:
    """Return the HTML page that a gateway sends with a status."""
    title = html.escape(f"{status} {reason_phrase(status)}".strip())
    return (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n"
        "<hr><center>gateway</center>\r\n</body>\r\n</html>\r\n"
    )


_SHAPES: dict[Refusals, Callable[[int, str], HttpResponse]] = {
    "message": lambda status, title: HttpResponse(status, document({"message": title})),
    "text": lambda status, title: HttpResponse(status, f"{title}\n".encode(), "text/plain"),
    "html": lambda status, _: HttpResponse(status, gateway_page(status).encode(), "text/html"),
}
