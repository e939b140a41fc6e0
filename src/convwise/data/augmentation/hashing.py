"""Random numbers that depend on (seed, epoch, sample, stream) and nothing else: a counter-based generator, vectorised.

A sample's state is a hash of seed, epoch and sample; word number k of the state is what SplitMix64 (Steele, Lea and
Flood, OOPSLA 2014) gives after k steps from it. No step needs the one before, so any samples can be asked for in any
order, in any batch.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]
Floats = NDArray[np.float32]

GOLDEN = 0x9E3779B97F4A7C15  # SplitMix64's step, 2^64 over the golden ratio
WIDTH = 2**64
BITS = 21  # of a uniform number: three to a word, exact in float32


def states(seed: int, epoch: int, samples: NDArray[Any]) -> Words:
    """Hash of seed, epoch and each sample, (n,)."""
    keys = np.array([seed % WIDTH, epoch % WIDTH], np.uint64)
    first, second = mix(keys * np.uint64(GOLDEN) + np.array([1, 2], np.uint64))
    state = mix(np.asarray(samples).astype(np.uint64) ^ first)
    state += second
    return mix(state)


def word(state: Words, stream: int) -> Words:
    """The word of each state that has this number, (n,)."""
    return mix(state + np.uint64((stream + 1) * GOLDEN % WIDTH))


def uniforms(words: Words) -> tuple[Floats, Floats, Floats]:
    """Three numbers a word, each uniform in (0, 1) and exact: (k + 0.5) / 2^21."""
    mask = np.uint64(2**BITS - 1)
    first, second, third = (_unit(words >> np.uint64(shift) & mask) for shift in (64 - BITS, 64 - 2 * BITS, 1))
    return first, second, third


def mix(words: Words) -> Words:
    """SplitMix64's finaliser: every bit of a word decides every bit of the result."""
    z = words ^ (words >> np.uint64(30))
    z *= np.uint64(0xBF58476D1CE4E5B9)
    z ^= z >> np.uint64(27)
    z *= np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return z


def _unit(integers: Words) -> Floats:
    out = integers.astype(np.float32)
    out += np.float32(0.5)
    out *= np.float32(2.0**-BITS)
    return out
