"""The body of an answer: whole, unpacked, and no larger than it may be."""

from __future__ import annotations

import threading
from typing import Any

import requests
from urllib3.exceptions import ProtocolError

from .limits import check

__all__ = ["TooLarge", "body_of"]

_CHUNK = 1 << 20
# JSON of nothing but empty books packs a hundred times; what packs more is made to fill memory.
_RATIO = 200
_SMALL = 16
"""The part of ``max_body`` that any answer may have, however it was packed."""


class TooLarge(Exception):
    """An answer that is not taken; its text says how large it is."""


def body_of(response: requests.Response, csv: bool, most: int, stop: threading.Event) -> bytes:
    """The unpacked body; ``TooLarge`` as soon as it is, ``Stopped`` when ``stop`` is set, urllib3's errors if cut."""
    raw: Any = response.raw
    pieces: list[bytes] = []
    size = 0
    while piece := raw.read1(_CHUNK, decode_content=True):  # as much as there is, so that `stop` is heard
        check(stop)
        pieces.append(piece)
        size += len(piece)
        _refuse_large(size, raw.tell(), most)
    body = b"".join(pieces)
    if _unfinished(raw):  # urllib3 takes what it could unpack for all
        raise ProtocolError("the answer's encoding breaks off")
    if not body:  # no answer is empty; an encoded one that was cut to nothing looks so
        raise ProtocolError("the answer was empty")
    if not _framed(response) and not _closed(body, csv):
        raise ProtocolError("the answer breaks off")
    return body


def _refuse_large(size: int, came: int, most: int) -> None:
    ratio = size / max(came, 1)
    if size <= most and (size <= most // _SMALL or ratio <= _RATIO):
        return
    raise TooLarge(
        f"it unpacks to more than {size:,} bytes, {ratio:,.0f} times the {came:,} that came, and max_body={most:,} is "
        f"the most that is taken, from {most // _SMALL:,} on no more than {_RATIO} times what came; ask for less at "
        f"once, or raise it, as in trayport.configure(max_body={_enough(size)})"
    )


def _enough(size: int) -> str:
    """A round number that lets a body of this size pass, whatever it was packed to."""
    return f"{2 ** (size * _SMALL - 1).bit_length():_}"


def _unfinished(raw: Any) -> bool:
    """Is the end of a compressed answer missing? Decoders of several encodings in a row are not looked into."""
    decoder: Any = getattr(getattr(raw, "_decoder", None), "_obj", None)
    if hasattr(decoder, "is_finished"):  # Brotli's
        return not decoder.is_finished()
    return not getattr(decoder, "eof", True)


def _closed(body: bytes, csv: bool) -> bool:
    """Does a list, an object or a line that was begun come to its end?"""
    text = body.strip()
    return body.endswith(b"\n") if csv else (text[:1], text[-1:]) in ((b"[", b"]"), (b"{", b"}"))


def _framed(response: requests.Response) -> bool:
    """Does HTTP itself say where the answer ends? Without, the end of the connection does, and may come too early."""
    return "Content-Length" in response.headers or "chunked" in response.headers.get("Transfer-Encoding", "").lower()
