"""How the compiled inner loops process eight bytes at a time, and the constants that mix hashes.

numba compiles this into the modules that use it and does not notice changes here: touch those modules, too.
"""

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic

from pipeline.compiled import inlined
from pipeline.text.words import SHINGLE_WORDS

ONE = np.uint64(1)
HIGH_BITS = np.uint64(0x8080808080808080)
LOW_SEVEN = np.uint64(0x7F7F7F7F7F7F7F7F)
# Odd constants of well-known mixers (the golden ratio, SplitMix64, MurmurHash3).
WORD_MIX = np.uint64(0x9E3779B97F4A7C15)
FIRST_MIX = np.uint64(0xBF58476D1CE4E5B9)
SECOND_MIX = np.uint64(0x94D049BB133111EB)
PLACE_MIX = np.uint64(0xFF51AFD7ED558CCD)
OTHER_PLACE_MIX = np.uint64(0xC4CEB9FE1A85EC53)


@intrinsic
def load(typing_context: Any, array: Any, at: Any) -> Any:
    """Read eight bytes as one little-endian number."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = _place(context, builder, signature, arguments)
        value = builder.load(place)
        value.align = 1
        return value

    return numba.uint64(array, numba.int64), generate


@intrinsic
def save(typing_context: Any, array: Any, at: Any, value: Any) -> Any:
    """Write one number as eight bytes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store(arguments[2], _place(context, builder, signature, arguments)).align = 1
        return context.get_dummy_value()

    return numba.void(array, numba.int64, numba.uint64), generate


def _place(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    byte = cgutils.gep(builder, array.data, arguments[1])
    return builder.bitcast(byte, ir.IntType(64).as_pointer())


@inlined
def finish(value):
    """Let every bit of a sum affect the highest ones."""
    value = (value ^ (value >> np.uint64(33))) * PLACE_MIX
    return value ^ (value >> np.uint64(29))


@inlined
def gram_hash(one, two, three):
    """The hash of a word 3-gram."""
    value = (one * FIRST_MIX + two) * SECOND_MIX + three
    value ^= value >> np.uint64(31)
    return value * WORD_MIX


@inlined
def grams_of(count):
    """Number of n-grams, repeated ones included."""
    return 0 if count == 0 else max(count - (SHINGLE_WORDS - 1), 1)
