"""Numbers that look like chance and are none: integer hashes, the same on every platform and for ever.

No generator and no floating point is involved, since the streams of the one and the last bits of the other may
change with a library's version.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


def key(*parts: object) -> int:
    """64 bits that stand for ``parts``, told apart from any other parts."""
    text = "\x1f".join(str(part) for part in parts).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


def roll(key: int, numbers: Integers) -> Hashes:
    """64 bits for each of ``numbers`` (the finaliser of SplitMix64), independent of the others asked for."""
    state = (numbers.astype(np.uint64) + np.uint64(1)) * _GAMMA + np.array(key, dtype=np.uint64)
    return _mixed(state)


def reroll(hashes: Hashes, salt: int) -> Hashes:
    """Fresh bits from ``hashes``, another set for each ``salt``."""
    return _mixed(hashes + np.array(salt, dtype=np.uint64) * _GAMMA)


def below(hashes: Hashes, bound: int) -> Integers:
    """``hashes`` as whole numbers from 0 up to ``bound``, itself left out."""
    return ((hashes >> np.uint64(16)) % np.uint64(bound)).astype(np.int64)


def noise(key: int, moments: Integers, octaves: tuple[tuple[int, int], ...]) -> Integers:
    """A wandering line: for each (period, amplitude), straight lines between hashed points.

    ``moments`` and periods are in milliseconds; the sum of the amplitudes bounds the result.
    """
    total = np.zeros(len(moments), dtype=np.int64)
    for number, (period, amplitude) in enumerate(octaves):
        step = moments // period
        share = ((moments % period) << 16) // period
        here = _height(key + number, step)
        there = _height(key + number, step + 1)
        total += (amplitude * (here * (65536 - share) + there * share)) >> 31
    return total


def _height(key: int, step: Integers) -> Integers:
    """A hashed height from -32768 to 32767."""
    return (roll(key & 0xFFFFFFFFFFFFFFFF, step) >> np.uint64(48)).astype(np.int64) - 32768


def _mixed(state: Hashes) -> Hashes:
    state = (state ^ (state >> np.uint64(30))) * _FIRST
    state = (state ^ (state >> np.uint64(27))) * _SECOND
    mixed: Hashes = state ^ (state >> np.uint64(31))
    return mixed
