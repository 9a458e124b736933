"""What a refused request is answered with, in each shape that it may have."""

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


def answer(refused: Refused, switches: Switches, now: datetime.datetime) -> HttpResponse:
    """The answer to a request that breaks a rule."""
    if isinstance(refused, Throttled):
        status = 403 if refused.forbidden else switches.throttling
        return evolve(worded(status, switches, refused), headers=_retry_after(refused.wait, switches, now))
    headers = (("Allow", "GET"),) if refused.status == 405 else ()
    return evolve(worded(refused.status, switches, refused), headers=headers)


def worded(status: int, switches: Switches, refused: Refused | None = None) -> HttpResponse:
    """An answer of this status in the words of the API, or of what may stand before it."""
    title = refused.title if refused and refused.status == status else phrase(status)
    # The shape of a 400 is known, and the others are nobody's choice.
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


def phrase(status: int) -> str:
    """What a status is called; nothing if it has no name."""
    return HTTPStatus(status).phrase if status in HTTPStatus.__members__.values() else ""


def page(status: int) -> str:
    """What a gateway shows instead of an answer."""
    title = html.escape(f"{status} {phrase(status)}".strip())
    return (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n"
        "<hr><center>gateway</center>\r\n</body>\r\n</html>\r\n"
    )


_SHAPES: dict[Refusals, Callable[[int, str], HttpResponse]] = {
    "message": lambda status, title: HttpResponse(status, document({"message": title})),
    "text": lambda status, title: HttpResponse(status, f"{title}\n".encode(), "text/plain"),
    "html": lambda status, _: HttpResponse(status, page(status).encode(), "text/html"),
}
