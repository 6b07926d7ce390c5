"""The compiled inner loops: texts to hashes, hashes to signatures, signatures to pairs, pairs to groups.

They work on Arrow buffers without copying, release the GIL, and are compiled once a machine (numba keeps
the result). All hashes are spelled out in 64-bit arithmetic, so that they are the same in every process
and version. Texts come as bytes and offsets of two columns: what is asked (``a``) and what is answered
(``b``, empty where answers are no texts). A text's words are those of ``a``, then those of ``b``.
"""

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic

from pipeline.compiled import called, compiled, inlined
from pipeline.dedupe.words import SHINGLE_WORDS, SIGN_SHIFT, TABLE_SIZE, Sign

PAD = 32
"""Loops over n-grams run in steps of this size, so that the compiler can make vector instructions of them."""
_SLACK = 144
"""Bytes behind a folded text that are read as well: up to two blocks of 64, and a number."""
_ONE = np.uint64(1)
_ALL_BITS = np.uint64(0xFFFFFFFFFFFFFFFF)
_GATHER = np.uint64(0x0102040810204080)
"""Times this, the lowest bits of eight bytes become the highest eight bits."""
_HIGH_BITS = np.uint64(0x8080808080808080)
_LOW_SEVEN = np.uint64(0x7F7F7F7F7F7F7F7F)
_CASE_BITS = np.uint64(0x2020202020202020)
# Added to seven bits, they set the eighth from "a", behind "z", from "0" and behind "9" on.
_FROM_A, _BEHIND_Z = np.uint64(0x1F1F1F1F1F1F1F1F), np.uint64(0x0505050505050505)
_FROM_0, _BEHIND_9 = np.uint64(0x5050505050505050), np.uint64(0x4646464646464646)
_BYTE = np.uint64(0xFF)
# Odd constants of well-known mixers (the golden ratio, SplitMix64, MurmurHash3).
_WORD = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_PLACE = np.uint64(0xFF51AFD7ED558CCD)
_OTHER_PLACE = np.uint64(0xC4CEB9FE1A85EC53)
_SEPARATOR, _LETTER, _LONE, _MARK, _NOTHING = (
    np.uint32(sign) for sign in (Sign.SEPARATOR, Sign.LETTER, Sign.LONE, Sign.MARK, Sign.NOTHING)
)
_SHIFT = np.uint32(SIGN_SHIFT)
_RUN = np.uint32((1 << SIGN_SHIFT) - 1)
# The lowest bits of a hash table's entry: the first and the second text hold the n-gram, and so in their answers.
_BOTH, _ANSWER, _BOTH_ANSWERS, _MARKS = np.uint64(0b0011), np.uint64(0b0100), np.uint64(0b1100), np.uint64(0b1111)
_OWN, _SECOND_TEXT = np.uint64(0b0101), np.uint64(0b1010)


# --- machine words at any place in a byte array ---------------------------------------------------
@intrinsic
def _load(typing_context: Any, array: Any, at: Any) -> Any:
    """Read eight bytes as one little-endian number."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = _place(context, builder, signature, arguments)
        value = builder.load(place)
        value.align = 1
        return value

    return numba.uint64(array, numba.int64), generate


@intrinsic
def _save(typing_context: Any, array: Any, at: Any, value: Any) -> Any:
    """Write one number as eight bytes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store(arguments[2], _place(context, builder, signature, arguments)).align = 1
        return context.get_dummy_value()

    return numba.void(array, numba.int64, numba.uint64), generate


def _place(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    byte = cgutils.gep(builder, array.data, arguments[1])
    return builder.bitcast(byte, ir.IntType(64).as_pointer())


@intrinsic
def _trailing_zeros(typing_context: Any, value: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return numba.uint64(numba.uint64), generate


@intrinsic
def _ones(typing_context: Any, value: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return numba.int64(numba.uint64), generate


# --- text to words --------------------------------------------------------------------------------
@inlined
def _fold(data, start, end, codes, letters, out):
    """Write the folded words of a text with zeros between them; returns the length.

    ASCII eight bytes at a time, as vectors of such numbers where nothing else is in the text.
    """
    parts = (end - start) // 8
    every = np.uint64(0)
    for part in range(parts):
        every |= _load(data, start + 8 * part)
    size = 0
    if not every & _HIGH_BITS:
        size = 8 * parts
        for part in range(parts):
            _save(out, 8 * part, _fold_ascii(_load(data, start + 8 * part)))
    size = _fold_slowly(data, start + size, end, codes, letters, out, size)
    for slack in range(size, size + _SLACK - 8, 8):
        _save(out, slack, np.uint64(0))
    return size


@inlined
def _fold_ascii(raw):
    """Letters in lower case, digits, and zeros for the rest of eight ASCII characters."""
    lower = raw | _CASE_BITS
    seven = lower & _LOW_SEVEN
    alpha = ((seven + _FROM_A) ^ (seven + _BEHIND_Z)) & _HIGH_BITS
    digit = ((raw + _FROM_0) ^ (raw + _BEHIND_9)) & _HIGH_BITS
    return (lower & _whole_bytes(alpha)) | (raw & _whole_bytes(digit))


@inlined
def _whole_bytes(high):
    """All bits of each byte whose highest one is set."""
    return (high << _ONE) - (high >> np.uint64(7))


@called
def _fold_slowly(data, at, end, codes, letters, out, size):
    """Go on folding, character by character where there is more than ASCII; a byte that is no UTF-8 parts words."""
    before = _LETTER if size and out[size - 1] else _SEPARATOR
    while at < end:
        if at + 8 <= end and not _load(data, at) & _HIGH_BITS:
            if before == _LONE:
                out[size] = 0
                size += 1
            _save(out, size, _fold_ascii(_load(data, at)))
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
    return size


@inlined
def _decode(data, at, end):
    """The code point that begins at a byte above 127, and its length; a separator's where it is no UTF-8."""
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
    """Append the hashes of the words to ``words`` from ``count`` on; returns the new count.

    Of 64 bytes at a time it is a bit each whether a byte belongs to a word. Where the bits change, a word begins or
    ends: so the next word is found without waiting for the hash of the last one.
    """
    begin, inside, last = 0, False, np.uint64(0)
    for base in range(0, size + 1, 64):
        bits = np.uint64(0)
        for part in range(8):
            chunk = _load(folded, base + 8 * part)
            chunk = (((chunk & _LOW_SEVEN) + _LOW_SEVEN) | chunk) & _HIGH_BITS
            bits |= (((chunk >> np.uint64(7)) * _GATHER) >> np.uint64(56)) << np.uint64(8 * part)
        edges = bits ^ ((bits << _ONE) | last)
        last = bits >> np.uint64(63)
        while edges:
            at = base + np.int64(_trailing_zeros(edges))
            edges &= edges - _ONE
            if inside:
                words[count] = _hash_word(folded, begin, at - begin)
                count += 1
            begin, inside = at, not inside
    return count


@inlined
def _hash_word(folded, begin, length):
    value = np.uint64(0)
    while length > 15:
        value = (value ^ _load(folded, begin)) * _WORD
        value ^= value >> np.uint64(29)
        begin += 8
        length -= 8
    # Two steps for all other words: to tell short from long ones would cost more, as nobody can foresee it.
    first, second = min(length, 8), max(length - 8, 0)
    value = (value ^ (_load(folded, begin) & (_ALL_BITS >> np.uint64(64 - 8 * first)))) * _WORD
    value ^= value >> np.uint64(29)
    value = (value ^ (_load(folded, begin + 8) & ((_ONE << np.uint64(8 * second)) - _ONE))) * _WORD
    return value ^ (value >> np.uint64(32))


@compiled
def hash_words(a, a_at, b, b_at, codes, letters, rows, words, starts, asked):
    """Write the hashes of the words of some rows one after the other.

    Row ``rows[i]`` has ``words[starts[i] : starts[i + 1] - 2]``, the first ``asked[i]`` of them from ``a``; two
    zeros follow, so that a text of one or two words is one n-gram.
    """
    longest = 0
    for row in rows:
        longest = max(longest, a_at[row + 1] - a_at[row], b_at[row + 1] - b_at[row])
    # A character may become twice as long, and a byte parts it from the last one: seven bytes for three at worst.
    folded = np.empty(3 * longest + 2 * _SLACK, dtype=np.uint8)
    count = 0
    for number in range(len(rows)):
        row = rows[number]
        starts[number] = count
        # One call of each function: they are copied into their caller, and compiled as often.
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
    """Write 128 bits over the bytes of each text, rows x 2: other bytes, other bits, whatever their words are."""
    for row in range(len(hashes)):
        one, other = _FIRST, _SECOND
        for part in range(2):
            data, at, end = (b, b_at[row], b_at[row + 1]) if part else (a, a_at[row], a_at[row + 1])
            rest = at + (end - at) // 8 * 8
            for place in range(at, rest, 8):
                value = _load(data, place)
                one = (one ^ value) * _WORD
                one ^= one >> np.uint64(32)
                other = (other ^ value) * _PLACE
                other ^= other >> np.uint64(29)
            value = np.uint64(0)
            for place in range(rest, end):
                value = (value << np.uint64(8)) | np.uint64(data[place])
            # The length as well, or zeros at the end of a part would not count.
            one = ((one ^ value) * _WORD ^ np.uint64(end - at)) * _PLACE
            other = ((other ^ value) * _PLACE ^ np.uint64(end - at)) * _OTHER_PLACE
        hashes[row, 0] = _finish(one)
        hashes[row, 1] = _finish(other)


# --- words to signatures --------------------------------------------------------------------------
@inlined
def _gram(one, two, three):
    value = (one * _FIRST + two) * _SECOND + three
    value ^= value >> np.uint64(31)
    return value * _WORD


@inlined
def _grams_of(count):
    """Number of n-grams, repeated ones included."""
    return 0 if count == 0 else max(count - (SHINGLE_WORDS - 1), 1)


@compiled
def sign_words(words, starts, asked, first, multipliers, masks, bands, identities, sizes, keys, sketches):
    """Write the identity and the signature of texts from row ``first`` on.

    ``multipliers`` and ``masks`` define the permutations, ``bands`` the ones of each band (bands x width).
    ``identities`` is rows x 2: equal bits, equal words; zeros where there are none. ``sizes`` is the number of
    n-grams; ``keys`` is bands x rows, ``sketches`` rows x permutations: the low byte of each least hash.
    """
    permutations = len(multipliers)
    longest = 0
    for number in range(len(asked)):
        longest = max(longest, starts[number + 1] - starts[number])
    grams = np.empty(longest + 2 * PAD, dtype=np.uint32)
    least = np.empty(permutations, dtype=np.uint32)
    for number in range(len(asked)):
        row, start = first + number, starts[number]
        count = starts[number + 1] - start - 2
        _identify(words, start, asked[number], count, identities, row)
        found = _grams_of(count)
        sizes[row] = found
        for at in range(found):
            gram = _gram(words[start + at], words[start + at + 1], words[start + at + 2])
            grams[at] = np.uint32(gram >> np.uint64(32))
        padded = (found + PAD - 1) // PAD * PAD
        for at in range(found, padded):
            grams[at] = grams[0]
        for permutation in range(permutations):
            lowest = np.uint32(0xFFFFFFFF)
            multiplier, mask = multipliers[permutation], masks[permutation]
            for at in range(padded):
                lowest = min(lowest, np.uint32((grams[at] ^ mask) * multiplier))
            least[permutation] = lowest
            sketches[row, permutation] = np.uint8(lowest)
        for band in range(len(bands)):
            key = np.uint64(band)
            for permutation in bands[band]:
                key = (key ^ np.uint64(least[permutation])) * _WORD
                key ^= key >> np.uint64(32)
            keys[band, row] = np.uint32(key)


@inlined
def _identify(words, start, asked, count, identities, row):
    """Sum up what each word and its place are mixed to, in two ways."""
    one, other = np.uint64(asked) * _FIRST, np.uint64(asked) * _SECOND
    for at in range(count):
        mixed = (words[start + at] ^ (np.uint64(at + 1) * _SECOND)) * _PLACE
        mixed ^= mixed >> np.uint64(32)
        one += mixed
        mixed *= _OTHER_PLACE
        other += mixed ^ (mixed >> np.uint64(29))
    identities[row, 0] = _finish(one) if count else np.uint64(0)
    identities[row, 1] = _finish(other) if count else np.uint64(0)


@inlined
def _finish(value):
    value = (value ^ (value >> np.uint64(33))) * _PLACE
    return value ^ (value >> np.uint64(29))


@inlined
def _place_of(ordered, value):
    """Where a value stands among sorted ones; -1 where it does not."""
    low, high = 0, len(ordered)
    while low < high:
        middle = (low + high) // 2
        if ordered[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low if low < len(ordered) and ordered[low] == value else -1


# --- signatures to pairs --------------------------------------------------------------------------
@compiled
def bucket_pairs(packed, sketches, need, first_new, full_bucket, leaders, start, member, pairs):
    """Pairs of rows in one bucket whose sketches agree in at least ``need`` bytes, as ``earlier << 32 | later``.

    ``packed`` holds ``key << 32 | row``, sorted. In a bucket of up to ``full_bucket`` rows each is compared with
    all earlier ones, in a larger one with the first and with the last few (``leaders``) before it. Rows before
    ``first_new`` are not compared with each other. Returns where to go on (``start``, ``member``) once
    ``pairs`` is full, and how many pairs it holds.
    """
    count, rows = 0, len(packed)
    while start < rows:
        key = packed[start] >> np.uint64(32)
        end = start + 1
        while end < rows and packed[end] >> np.uint64(32) == key:
            end += 1
        size = end - start
        whole = size <= full_bucket
        while member < size:
            if len(pairs) - count < (size if whole else 2 * leaders):
                return start, member, count
            later = np.int64(packed[start + member] & np.uint64(0xFFFFFFFF))
            if later >= first_new:
                first_run = member if whole else min(member, leaders)
                for other in range(first_run):
                    count = _propose(packed, sketches, need, start + other, later, pairs, count)
                for other in range(max(first_run, member - leaders), member):
                    count = _propose(packed, sketches, need, start + other, later, pairs, count)
            member += 1
        start, member = end, 0
    return start, member, count


@inlined
def _propose(packed, sketches, need, place, later, pairs, count):
    earlier = np.int64(packed[place] & np.uint64(0xFFFFFFFF))
    if _agreement(sketches, earlier, later) >= need:
        pairs[count] = (np.uint64(earlier) << np.uint64(32)) | np.uint64(later)
        count += 1
    return count


@inlined
def _agreement(sketches, one, other):
    """The number of equal bytes, eight compared at a time."""
    equal, width = 0, sketches.shape[1]
    for at in range(0, width, 8):
        differ = _load(sketches, one * width + at) ^ _load(sketches, other * width + at)
        differ |= (differ & _LOW_SEVEN) + _LOW_SEVEN
        equal += _ones(~differ & _HIGH_BITS)
    return equal


@compiled
def agreements(sketches, left, right, equal):
    """Write the number of equal bytes in the sketches of pairs."""
    for pair in range(len(left)):
        equal[pair] = _agreement(sketches, left[pair], right[pair])


# --- pairs to similarities ------------------------------------------------------------------------
@compiled
def similarities(words, starts, asked, left, right, whole, answers):
    """Write the exact Jaccard similarity of pairs of texts, of the whole ones and of their answers.

    Pairs come as two columns. Those with the same right text should come in a row: it is read once for all of them.
    Where both texts have no words in their answers these are alike (1); a whole text without words resembles
    nothing (0).
    """
    longest = 0
    for number in range(len(asked)):
        longest = max(longest, starts[number + 1] - starts[number])
    table = np.zeros(_capacity(2 * longest), dtype=np.uint64)
    slots = np.empty(2 * longest, dtype=np.int64)
    pair = 0
    while pair < len(right):
        last, longest = pair, 0
        while last < len(right) and right[last] == right[pair]:
            longest = max(longest, starts[left[last] + 1] - starts[left[last]])
            last += 1
        # Only a small part of the table for short texts, so that it stays in the processor's cache.
        capacity = _capacity(longest + starts[right[pair] + 1] - starts[right[pair]])
        first, size, answer = 0, 0, 0
        for text in range(pair - 1, last):
            side = 0 if text < pair else 1
            number = left[text] if side else right[pair]
            start, count = starts[number], starts[number + 1] - starts[number] - 2
            used = _enter(table, capacity, slots, words, start, asked[number], count, np.uint64(side), first)
            alone, common, answer_alone, answer_common = _tally(table, slots, first, used, np.uint64(side))
            if side:
                _leave(table, slots, first, used)
                whole[text] = common / max(size + alone, 1)
                answers[text] = answer_common / (answer + answer_alone) if answer + answer_alone else 1.0
            else:
                first, size, answer = used, alone, answer_alone
        table[slots[:first]] = 0
        pair = last


@inlined
def _capacity(entries):
    """The size of a hash table that so many entries fill by half at most; a power of two."""
    capacity = 16
    while capacity < 2 * entries:
        capacity *= 2
    return capacity


@inlined
def _enter(table, capacity, slots, words, start, asked, count, side, used):
    """Enter the n-grams of a text, those within its answer marked; lists their slots from ``used`` on.

    An entry is an n-gram but for its lowest bits, which say what holds it. An answer of fewer words than an
    n-gram has one of its own. Returns the end of the list.
    """
    answered, grams = count - asked, _grams_of(count)
    last, own = np.uint64(capacity - 1), _OWN << side
    for number in range(grams + (1 if 0 < answered < SHINGLE_WORDS else 0)):
        at = number if number < grams else asked
        mark = _ONE << side if number < grams else np.uint64(0)
        if at >= asked and (answered >= SHINGLE_WORDS or number == grams):
            mark |= _ANSWER << side
        gram = _gram(words[start + at], words[start + at + 1], words[start + at + 2])
        slot = (gram >> np.uint64(8)) & last
        while table[slot] != 0 and (table[slot] ^ gram) & ~_MARKS:
            slot = (slot + _ONE) & last
        entry = table[slot]
        if not entry & own:
            slots[used] = slot
            used += 1
        table[slot] = entry | (gram & ~_MARKS) | mark
    return used


@inlined
def _tally(table, slots, first, used, side):
    """Count the n-grams in some slots, of which this side holds each: those that it alone holds and the common ones,
    and so in answers."""
    alone, common, answer_alone, answer_common = 0, 0, 0, 0
    for at in range(first, used):
        mark = table[slots[at]]
        alone += mark & _BOTH == _ONE << side
        common += mark & _BOTH == _BOTH
        answer_alone += mark & _BOTH_ANSWERS == _ANSWER << side
        answer_common += mark & _BOTH_ANSWERS == _BOTH_ANSWERS
    return alone, common, answer_alone, answer_common


@inlined
def _leave(table, slots, first, used):
    """Take the second text's marks out of some slots, and n-grams that only it holds."""
    for at in range(first, used):
        entry = table[slots[at]] & ~_SECOND_TEXT
        table[slots[at]] = entry if entry & _MARKS else np.uint64(0)


# --- words in a row -------------------------------------------------------------------------------
@inlined
def _power(width):
    power = _ONE
    for _ in range(width - 1):
        power *= _WORD
    return power


@compiled
def runs(words, starts, width, hashes, texts):
    """Write the hash and the text of every run of ``width`` words; returns their number."""
    count, power = 0, _power(width)
    for number in range(len(starts) - 1):
        value = np.uint64(0)
        for at in range(starts[number], starts[number + 1] - 2):
            if at >= starts[number] + width:
                value -= words[at - width] * power
            value = value * _WORD + words[at]
            if at >= starts[number] + width - 1:
                hashes[count] = _finish(value)
                texts[count] = number
                count += 1
    return count


@compiled
def shared_runs(words, starts, width, known, maybe, found):
    """Write which of the ``known`` runs, sorted, stands first in each text; -1 where none does.

    ``maybe`` is true wherever the high bits of a known run point to: most runs need no search.
    """
    power, shift = _power(width), np.uint64(64)
    size = len(maybe)
    while size > 1:
        size //= 2
        shift -= _ONE
    for number in range(len(starts) - 1):
        value = np.uint64(0)
        found[number] = -1
        for at in range(starts[number], starts[number + 1] - 2):
            if at >= starts[number] + width:
                value -= words[at - width] * power
            value = value * _WORD + words[at]
            if at >= starts[number] + width - 1:
                run = _finish(value)
                if maybe[run >> shift]:
                    found[number] = _place_of(known, run)
                    if found[number] >= 0:
                        break
