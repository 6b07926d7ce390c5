"""A compiled hash table of the words in texts; a word includes the spaces before it."""

import string

import numpy as np

from pipeline.compiled import called, compiled

# A word ends between two bytes that share a bit here.
_BEFORE, _BEHIND = np.zeros(256, dtype=np.uint8), np.zeros(256, dtype=np.uint8)
_BEFORE[0x21:0x7F], _BEHIND[0x20] = 0b01, 0b01
_BEFORE[[*(string.ascii_letters + string.digits).encode()]] |= 0b10
_BEHIND[[*string.punctuation.replace("'", "").encode()]] |= 0b10
# Odd constants of well-known mixers (FNV-1a, the golden ratio).
_BASIS, _PRIME, _MIX = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3), np.uint64(0x9E3779B97F4A7C15)
_NONE = np.uint64(0)


@compiled
def look_up(data, ends, hashes, places, new, word_ends):
    """Write the slot of every word in the hash table, and where each text's words end; returns the number of new
    words, whose starts, ends and slots are written too.

    A word ends before a space that follows a visible ASCII character, and between an ASCII letter or digit and a
    punctuation mark other than the apostrophe.
    """
    count = found = start = 0
    for text in range(len(ends)):
        begin, value = start, _BASIS
        for at in range(start, ends[text] + 1):
            is_end = at == ends[text]
            if is_end or (at > start and _BEFORE[data[at - 1]] & _BEHIND[data[at]]):
                if at > begin:
                    value = max(value * _MIX, np.uint64(1))
                    place = _place_of(hashes, value)
                    if hashes[place] == _NONE:
                        hashes[place] = value
                        new[found, 0], new[found, 1], new[found, 2] = begin, at, place
                        found += 1
                    places[count] = place
                    count += 1
                begin, value = at, _BASIS
            if not is_end:
                value = (value ^ np.uint64(data[at])) * _PRIME
        word_ends[text] = count
        start = ends[text]
    return found


@called
def _place_of(hashes, value):
    """The slot of a hash, or the empty one where it belongs."""
    last = np.uint64(len(hashes) - 1)
    place = (value >> np.uint64(32)) & last
    while hashes[place] != _NONE and hashes[place] != value:
        place = (place + np.uint64(1)) & last
    return np.int64(place)


@compiled
def move(hashes, counts, new_hashes, new_counts):
    """Insert all entries of one table into a larger one."""
    for old in range(len(hashes)):
        if hashes[old] != _NONE:
            place = _place_of(new_hashes, hashes[old])
            new_hashes[place] = hashes[old]
            new_counts[place] = counts[old]
