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
Bools = npt.NDArray[np.bool_]

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


def key(*parts: object) -> int:
    """64 bits that stand for ``parts``, told apart from any other parts."""
    text = "\x1f".join(str(part) for part in parts).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


def combine(keys: Hashes, others: Hashes) -> Hashes:
    """One key out of two, for each pair; the order of the two matters."""
    return _mix(keys ^ _mix(others + _GAMMA))


def hash64(key: int | Hashes, numbers: Integers) -> Hashes:
    """64 bits for each of ``numbers`` (the finaliser of SplitMix64), independent of the others asked for."""
    state = (numbers.astype(np.uint64) + np.uint64(1)) * _GAMMA + np.asarray(key, dtype=np.uint64)
    return _mix(state)


def rehash(hashes: Hashes, salt: int) -> Hashes:
    """Fresh bits from ``hashes``, another set for each ``salt``."""
    return _mix(hashes + np.array(salt, dtype=np.uint64) * _GAMMA)


def uniform_below(hashes: Hashes, bound: int | Integers) -> Integers:
    """``hashes`` as whole numbers from 0 up to ``bound``, itself left out."""
    return ((hashes >> np.uint64(16)) % np.asarray(bound, dtype=np.uint64)).astype(np.int64)


def one_in(hashes: Hashes, salt: int, rarity: int) -> Bools:
    """True for one in ``rarity`` of ``hashes``, other ones for each ``salt``."""
    found: Bools = uniform_below(rehash(hashes, salt), rarity) == 0
    return found


# So many moments at once that what is worked out for them stays in the processor's cache.
_BLOCK = 2048


def noise(key: int, moments: Integers, octaves: tuple[tuple[int, int], ...]) -> Integers:
    """A wandering line: for each (period, amplitude), straight lines between hashed points.

    ``moments`` and periods are in milliseconds; the sum of the amplitudes bounds the result.
    """
    periods, amplitudes = np.array(octaves, dtype=np.int64).T[:, :, None]
    keys = np.array([(key + number) & 0xFFFFFFFFFFFFFFFF for number in range(len(octaves))], dtype=np.uint64)[:, None]
    total = np.empty(len(moments), dtype=np.int64)
    for first in range(0, len(moments), _BLOCK):
        block = slice(first, first + _BLOCK)
        step, rest = np.divmod(moments[None, block], periods)
        share = (rest << 16) // periods
        height = _height(keys, step) * (65536 - share) + _height(keys, step + 1) * share
        total[block] = ((amplitudes * height) >> 31).sum(axis=0)
    return total


def _height(keys: Hashes, step: Integers) -> Integers:
    """A hashed height from -32768 to 32767."""
    return (hash64(keys, step) >> np.uint64(48)).astype(np.int64) - 32768


def _mix(state: Hashes) -> Hashes:
    state = (state ^ (state >> np.uint64(30))) * _FIRST
    state = (state ^ (state >> np.uint64(27))) * _SECOND
    mixed: Hashes = state ^ (state >> np.uint64(31))
    return mixed
