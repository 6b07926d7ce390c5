"""The compiled loops over bytes: from texts to the hashes of their words and of their bytes.

Texts come as bytes and offsets of two columns: prompts (``a``) and answers (``b``, empty if answers are not
texts). A text's words are those of ``a``, then those of ``b``.
"""

import numpy as np

from pipeline.compiled import called, compiled, inlined
from pipeline.text.uint64_ops import (
    FIRST_MIX,
    HIGH_BITS,
    LOW_SEVEN,
    ONE,
    OTHER_PLACE_MIX,
    PLACE_MIX,
    SECOND_MIX,
    WORD_MIX,
    finish,
    load,
    save,
)
from pipeline.text.words import SIGN_SHIFT, TABLE_SIZE, Sign

_SLACK = 16
"""Bytes that are read beyond a folded text: two numbers."""
_ALL_BITS = np.uint64(0xFFFFFFFFFFFFFFFF)
_CASE_BITS = np.uint64(0x2020202020202020)
# Added to seven bits, they set the eighth: from "a" up, above "z", from "0" up and above "9".
_FROM_A, _BEHIND_Z = np.uint64(0x1F1F1F1F1F1F1F1F), np.uint64(0x0505050505050505)
_FROM_0, _BEHIND_9 = np.uint64(0x5050505050505050), np.uint64(0x4646464646464646)
_SEPARATOR, _LETTER, _LONE, _MARK, _NOTHING = (
    np.uint32(sign) for sign in (Sign.SEPARATOR, Sign.LETTER, Sign.LONE, Sign.MARK, Sign.NOTHING)
)
_SHIFT = np.uint32(SIGN_SHIFT)
_RUN = np.uint32((1 << SIGN_SHIFT) - 1)


# --- text to words --------------------------------------------------------------------------------
@inlined
def _fold_ascii(raw):
    """Eight ASCII characters with letters in lower case, digits kept, and zeros for the rest."""
    lower = raw | _CASE_BITS
    seven = lower & LOW_SEVEN
    alpha = ((seven + _FROM_A) ^ (seven + _BEHIND_Z)) & HIGH_BITS
    digit = ((raw + _FROM_0) ^ (raw + _BEHIND_9)) & HIGH_BITS
    return (lower & _whole_bytes(alpha)) | (raw & _whole_bytes(digit))


@inlined
def _whole_bytes(high):
    """For each byte, all bits if its highest bit is set, else none."""
    return (high << ONE) - (high >> np.uint64(7))


@called
def _fold(data, at, end, codes, letters, out):
    """Write the folded words of a text, separated by zeros; returns the length.

    Eight ASCII bytes at a time, else character by character; an invalid UTF-8 byte separates words.
    """
    size, before = 0, _SEPARATOR
    while at < end:
        if at + 8 <= end and not load(data, at) & HIGH_BITS:
            if before == _LONE:
                out[size] = 0
                size += 1
            save(out, size, _fold_ascii(load(data, at)))
            at += 8
            size += 8
            before = _LETTER if out[size - 1] else _SEPARATOR
            continue
        byte = data[at]
        if byte < 128:
            code, length = np.int64(byte), 1
        else:
            code, length = _decode(data, at, end)
        entry = codes[code] if code < TABLE_SIZE else np.uint32(0)
        kind, run = entry >> _SHIFT, entry & _RUN
        if kind == _SEPARATOR:
            out[size] = 0
            size += 1
            before = _SEPARATOR
        elif kind != _NOTHING:
            if before != _SEPARATOR and (kind == _LONE or (kind == _LETTER and before == _LONE)):
                out[size] = 0
                size += 1
            if run:
                for letter in range(letters[run]):
                    out[size] = letters[run + 1 + letter]
                    size += 1
            else:
                for more in range(length):
                    out[size] = data[at + more]
                    size += 1
            if kind != _MARK or before == _SEPARATOR:
                before = kind
        at += length
    out[size] = 0
    return size


@inlined
def _decode(data, at, end):
    """The code point that begins at a byte above 127, and its length; a separator if it is invalid UTF-8."""
    first = np.int64(data[at])
    if first >= 0xF0:
        length, code = 4, first & 0x07
    elif first >= 0xE0:
        length, code = 3, first & 0x0F
    else:
        length, code = 2, first & 0x1F
    if first < 0xC2 or first > 0xF4 or at + length > end:
        return np.int64(0x20), 1
    for more in range(1, length):
        byte = np.int64(data[at + more])
        if byte & 0xC0 != 0x80:
            return np.int64(0x20), 1
        code = (code << 6) | (byte & 0x3F)
    return code, length


@inlined
def _hash_words(folded, size, words, count):
    """Append the hashes of the words to ``words`` from ``count`` on; returns the new count."""
    begin = 0
    for at in range(size + 1):
        if not folded[at]:
            if at > begin:
                words[count] = _hash_word(folded, begin, at - begin)
                count += 1
            begin = at + 1
    return count


@inlined
def _hash_word(folded, begin, length):
    value = np.uint64(0)
    while length > 15:
        value = (value ^ load(folded, begin)) * WORD_MIX
        value ^= value >> np.uint64(29)
        begin += 8
        length -= 8
    # Two steps for all other words: telling short from long ones would cost more, since the branch is unpredictable.
    first, second = min(length, 8), max(length - 8, 0)
    value = (value ^ (load(folded, begin) & (_ALL_BITS >> np.uint64(64 - 8 * first)))) * WORD_MIX
    value ^= value >> np.uint64(29)
    value = (value ^ (load(folded, begin + 8) & ((ONE << np.uint64(8 * second)) - ONE))) * WORD_MIX
    return value ^ (value >> np.uint64(32))


@compiled
def hash_words(a, a_at, b, b_at, codes, letters, rows, words, starts, asked):
    """Write the hashes of the words of some rows one after another.

    Row ``rows[i]`` has ``words[starts[i] : starts[i + 1] - 2]``, the first ``asked[i]`` of them from ``a``; two
    zeros follow, so that a text of one or two words forms one n-gram.
    """
    longest = 0
    for row in rows:
        longest = max(longest, a_at[row + 1] - a_at[row], b_at[row + 1] - b_at[row])
    # Folding may double a character's length, and a byte separates it from the last one: at worst 7 bytes for 3.
    folded = np.empty(3 * longest + 2 * _SLACK, dtype=np.uint8)
    count = 0
    for number in range(len(rows)):
        row = rows[number]
        starts[number] = count
        # One call of each function: what is inlined is compiled once per call.
        for part in range(2):
            if part == 0:
                data, start, end = a, a_at[row], a_at[row + 1]
            else:
                data, start, end = b, b_at[row], b_at[row + 1]
                asked[number] = count - starts[number]
            size = _fold(data, start, end, codes, letters, folded)
            count = _hash_words(folded, size, words, count)
        words[count] = 0
        words[count + 1] = 0
        count += 2
    starts[len(rows)] = count


@compiled
def hash_bytes(a, a_at, b, b_at, hashes):
    """Write 128 bits over the bytes of each text, rows x 2: different bytes, different bits, whatever their words."""
    for row in range(len(hashes)):
        one, other = FIRST_MIX, SECOND_MIX
        for part in range(2):
            data, at, end = (b, b_at[row], b_at[row + 1]) if part else (a, a_at[row], a_at[row + 1])
            rest = at + (end - at) // 8 * 8
            for place in range(at, rest, 8):
                value = load(data, place)
                one = (one ^ value) * WORD_MIX
                one ^= one >> np.uint64(32)
                other = (other ^ value) * PLACE_MIX
                other ^= other >> np.uint64(29)
            value = np.uint64(0)
            for place in range(rest, end):
                value = (value << np.uint64(8)) | np.uint64(data[place])
            # The length is hashed as well, or trailing zeros of a part would not count.
            one = ((one ^ value) * WORD_MIX ^ np.uint64(end - at)) * PLACE_MIX
            other = ((other ^ value) * PLACE_MIX ^ np.uint64(end - at)) * OTHER_PLACE_MIX
        hashes[row, 0] = finish(one)
        hashes[row, 1] = finish(other)
