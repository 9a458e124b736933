"""The cost of each content encoding: the size of a response on the wire, and the time to decompress it with urllib3.

Responses are in memory, so that only decompression is timed, and are read in blocks, as the client reads them.
"""

from __future__ import annotations

import gzip
import io
import statistics
import sys
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from typing import Any

import brotli
import urllib3

from .decoding import books, seconds, trades

READS = {"64 kB": 1 << 16, "1 MB": 1 << 20}

ENCODINGS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "identity": ("identity", bytes),
    "gzip 6": ("gzip", partial(gzip.compress, compresslevel=6, mtime=0)),
    "brotli 4": ("br", partial(brotli.compress, quality=4)),
    "brotli 5": ("br", partial(brotli.compress, quality=5)),
}
"""Name in the header, and function that compresses."""

RESPONSES: dict[str, tuple[Callable[[int], bytes], int]] = {
    "trades": (trades, 100_000),
    "trades with contract objects": (partial(trades, contract=True), 100_000),
    "books of depth 10": (books, 10_000),
}


def decompressed_size(packed: bytes, encoding: str, size: int) -> int:
    """Decompress in reads of ``size``, and return the number of bytes."""
    body: Any = io.BytesIO(packed)
    response = urllib3.HTTPResponse(body, headers={"Content-Encoding": encoding}, preload_content=False)
    return sum(map(len, iter(lambda: response.read1(size, decode_content=True), b"")))


def medians(packed: dict[str, bytes], whole: int, rounds: int) -> dict[tuple[str, str], float]:
    """Return the median seconds for each encoding and size of reads; they take turns within each round."""
    times: dict[tuple[str, str], list[float]] = {pair: [] for pair in product(packed, READS)}
    for name, read in times:
        assert decompressed_size(packed[name], ENCODINGS[name][0], READS[read]) == whole
    for _ in range(rounds):
        for (name, read), column in times.items():
            column.append(seconds(partial(decompressed_size, packed[name], ENCODINGS[name][0], READS[read])))
    return {pair: statistics.median(column) for pair, column in times.items()}


def measure(*, quick: bool) -> Iterator[str]:
    rounds = 1 if quick else 15
    yield f"\nencodings of a response, decompressed by urllib3 from memory, medians of {rounds}"
    for title, (make, rows) in RESPONSES.items():
        count = rows // 200 if quick else rows
        payload = make(count)
        packed = {name: pack(payload) for name, (_, pack) in ENCODINGS.items()}
        found = medians(packed, len(payload), rounds)
        yield f"  {count:,} {title}, {len(payload) / 1e6:.1f} MB"
        yield f"    {'':10}{'MB on the wire':>16}{'share':>8}" + "".join(f"{f'ms, {read} reads':>18}" for read in READS)
        for name, text in packed.items():
            times = "".join(f"{found[name, read] * 1000:18.1f}" for read in READS)
            yield f"    {name:10}{len(text) / 1e6:16.2f}{len(text) / len(payload):8.1%}{times}"


def main() -> None:
    for line in measure(quick="--quick" in sys.argv[1:]):
        print(line, flush=True)


if __name__ == "__main__":
    main()
