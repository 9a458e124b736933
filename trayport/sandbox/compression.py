"""Content encodings: which one a client accepts, and bodies compressed in one piece or while they are made.

Page numbers refer to the API guide, see docs/sources.md.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import lru_cache

__all__ = [
    "accepted_values",
    "choose_encoding",
    "choose_encoding_of",
    "compress",
    "compress_pieces",
    "corrupt",
    "gather",
]

# Compressing less than one network packet saves nothing.
_SMALLEST_COMPRESSED = 1000
# Bytes of a long body that are compressed and sent together: smaller blocks compress badly, larger ones arrive late.
_BLOCK = 1 << 17
_ENCODINGS = ("br", "gzip", "deflate", "identity")


def choose_encoding_of(body: bytes, accepted: str | None) -> str | None:
    """Return the encoding for a whole body; a short body is not compressed if the client sent ``Accept-Encoding``."""
    return None if accepted is not None and len(body) < _SMALLEST_COMPRESSED else choose_encoding(accepted)


@lru_cache(maxsize=64)
def choose_encoding(accepted: str | None) -> str | None:
    """Return the client's preferred encoding, None for no compression; Brotli without the header (guide p. 38)."""
    offers = ["br"] if accepted is None else accepted_values(accepted)
    best = next((offer for offer in offers if offer in _ENCODINGS), "identity")
    return None if best == "identity" else best


def accepted_values(header: str) -> list[str]:
    """Return the values of an ``Accept`` or ``Accept-Encoding`` header by falling quality, without those of quality 0.

    >>> accepted_values("gzip;q=0.5, br, deflate;q=0")
    ['br', 'gzip']
    """
    offers = []
    for part in header.lower().split(","):
        name, _, options = part.partition(";")
        quality = re.search(r"q=([0-9.]+)", options)
        try:
            offers.append((float(quality[1]) if quality else 1.0, name.strip()))
        except ValueError:
            continue
    return [name for quality, name in sorted(offers, key=lambda offer: -offer[0]) if quality > 0]


def compress(body: bytes, encoding: str | None) -> bytes:
    """Return a whole body in an encoding."""
    if encoding is None:
        return body
    if encoding == "br":
        import brotli

        compressed: bytes = brotli.compress(body, quality=1)
        return compressed
    return gzip.compress(body, 1, mtime=0) if encoding == "gzip" else zlib.compress(body, 1)


def compress_pieces(pieces: Iterable[bytes], encoding: str | None) -> Iterator[bytes]:
    """Yield the pieces of a body in an encoding, flushed so that a client can decode each of them at once."""
    compress_piece, finish = _compressor(encoding)
    for piece in gather(pieces, _BLOCK):
        if compressed := compress_piece(piece):
            yield compressed
    if rest := finish():
        yield rest


def _compressor(encoding: str | None) -> tuple[Callable[[bytes], bytes], Callable[[], bytes]]:
    """Return a function that compresses one piece, and one that returns the last bytes of the stream."""
    if encoding is None:
        return bytes, bytes
    if encoding == "br":
        import brotli

        # A window of 256 KiB instead of 4 MiB: many responses are compressed at the same time.
        compressor = brotli.Compressor(quality=1, lgwin=18)
        return lambda piece: compressor.process(piece) + compressor.flush(), compressor.finish
    deflate = zlib.compressobj(1, zlib.DEFLATED, zlib.MAX_WBITS | (16 if encoding == "gzip" else 0))
    return lambda piece: deflate.compress(piece) + deflate.flush(zlib.Z_SYNC_FLUSH), deflate.flush


def gather(pieces: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Yield the same bytes in larger pieces: all but the first and the last have at least ``size`` bytes."""
    waiting: list[bytes] = []
    least, total = 1, 0
    for piece in pieces:
        waiting.append(piece)
        total += len(piece)
        if total >= least:
            yield b"".join(waiting)
            waiting, total, least = [], 0, size
    if total:
        yield b"".join(waiting)


def corrupt(compressed: bytes, encoding: str) -> bytes:
    """Return a compressed body that cannot be decoded, with the damage as late in the body as possible."""
    damaged = bytearray(compressed)
    if encoding != "br":
        # Both formats end with a checksum, which in gzip is followed by four bytes of length.
        damaged[-5 if encoding == "gzip" else -1] ^= 0xFF
        return bytes(damaged)
    # Brotli has no checksum: some wrong bytes go unnoticed, and some look like a truncated body.
    import brotli

    for place in (len(compressed) // 2, len(compressed) // 4, 1):
        damaged = bytearray(compressed)
        damaged[place : place + 8] = b"\xff" * len(damaged[place : place + 8])
        with suppress(brotli.error):
            brotli.Decompressor().process(bytes(damaged))
            continue
        return bytes(damaged)
    return b"\x11" + compressed[1:]  # no Brotli stream begins with this byte (RFC 7932, section 9.1)
