"""Pseudo-random numbers from integer hashes: the same on every platform and with every version of numpy.

Random generators and floating point are not used, since their results may change with a library's version.
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
# Number of times for which noise is computed together, so that all arrays fit into the processor's cache.
_BLOCK = 2048


def key(*parts: object) -> int:
    """Return 64 bits that identify some values in their order."""
    text = "\x1f".join(str(part) for part in parts).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


def combine(keys: Hashes, others: Hashes) -> Hashes:
    """Return one key for each pair of keys; their order matters."""
    return _mix(keys ^ _mix(others + _GAMMA))


def hash64(key: int | Hashes, numbers: Integers) -> Hashes:
    """Return 64 bits for each number (the finaliser of SplitMix64), which depend on the key and on that number only."""
    state = (numbers.astype(np.uint64) + np.uint64(1)) * _GAMMA + np.asarray(key, dtype=np.uint64)
    return _mix(state)


def rehash(hashes: Hashes, salt: int) -> Hashes:
    """Return new bits for each hash, which differ for each salt."""
    return _mix(hashes + np.array(salt, dtype=np.uint64) * _GAMMA)


def uniform_below(hashes: Hashes, bound: int | Integers) -> Integers:
    """Return whole numbers in [0, bound) from hashes."""
    return ((hashes >> np.uint64(16)) % np.asarray(bound, dtype=np.uint64)).astype(np.int64)


def one_in(hashes: Hashes, salt: int, rarity: int) -> Bools:
    """Return True for one in ``rarity`` of the hashes; another salt selects others."""
    found: Bools = uniform_below(rehash(hashes, salt), rarity) == 0
    return found


def noise(key: int, times: Integers, octaves: tuple[tuple[int, int], ...]) -> Integers:
    """Return value noise: the sum of piecewise linear functions through hashed points, one for each octave.

    Parameters
    ----------
    key : int
        Another key gives another function.
    times : array of int64
        Milliseconds.
    octaves : tuple of (int, int)
        Period in milliseconds and amplitude of each octave; the sum of the amplitudes bounds the result.
    """
    periods, amplitudes = np.array(octaves, dtype=np.int64).T[:, :, None]
    keys = np.array([(key + number) & 0xFFFFFFFFFFFFFFFF for number in range(len(octaves))], dtype=np.uint64)[:, None]
    total = np.empty(len(times), dtype=np.int64)
    for first in range(0, len(times), _BLOCK):
        block = slice(first, first + _BLOCK)
        step, rest = np.divmod(times[None, block], periods)
        share = (rest << 16) // periods
        height = _height(keys, step) * (65536 - share) + _height(keys, step + 1) * share
        total[block] = ((amplitudes * height) >> 31).sum(axis=0)
    return total


def _height(keys: Hashes, step: Integers) -> Integers:
    """Return a hashed height from -32768 to 32767 for each point."""
    return (hash64(keys, step) >> np.uint64(48)).astype(np.int64) - 32768


def _mix(state: Hashes) -> Hashes:
    state = (state ^ (state >> np.uint64(30))) * _FIRST
    state = (state ^ (state >> np.uint64(27))) * _SECOND
    mixed: Hashes = state ^ (state >> np.uint64(31))
    return mixed
