"""The compiled loops over hashes: words to signatures, signatures to pairs, pairs to similarities, n-gram runs.

They release the GIL and are compiled once per machine (numba caches the result). All hashes are defined by explicit
64-bit arithmetic, so that they are the same in every process and version.
"""

import numpy as np

from pipeline.compiled import compiled, inlined
from pipeline.text.uint64_ops import (
    FIRST_MIX,
    ONE,
    OTHER_PLACE_MIX,
    PLACE_MIX,
    SECOND_MIX,
    WORD_MIX,
    finish,
    gram_hash,
    grams_of,
)
from pipeline.text.words import SHINGLE_WORDS

# The lowest bits of a hash table's entry: the first and the second text hold the n-gram, and likewise their answers.
_BOTH, _ANSWER, _BOTH_ANSWERS, _MARKS = np.uint64(0b0011), np.uint64(0b0100), np.uint64(0b1100), np.uint64(0b1111)
_OWN, _SECOND_TEXT = np.uint64(0b0101), np.uint64(0b1010)


# --- words to signatures --------------------------------------------------------------------------
@compiled
def sign_words(words, starts, asked, first, multipliers, masks, bands, identities, sizes, keys, sketches):
    """Write the identity and the signature of texts from row ``first`` on.

    ``multipliers`` and ``masks`` define the permutations, ``bands`` those of each band (bands x width).
    ``identities`` is rows x 2: equal bits mean equal words; zeros if there are none. ``sizes`` is the number of
    n-grams; ``keys`` is bands x rows, ``sketches`` rows x permutations: the low byte of each MinHash value.
    """
    permutations = len(multipliers)
    least = np.empty(permutations, dtype=np.uint32)
    for number in range(len(asked)):
        row, start = first + number, starts[number]
        count = starts[number + 1] - start - 2
        _identify(words, start, asked[number], count, identities, row)
        found = grams_of(count)
        sizes[row] = found
        least[:] = np.uint32(0xFFFFFFFF)
        for at in range(start, start + found):
            gram = np.uint32(gram_hash(words[at], words[at + 1], words[at + 2]) >> np.uint64(32))
            for permutation in range(permutations):
                value = np.uint32((gram ^ masks[permutation]) * multipliers[permutation])
                least[permutation] = min(least[permutation], value)
        for permutation in range(permutations):
            sketches[row, permutation] = np.uint8(least[permutation])
        for band in range(len(bands)):
            key = np.uint64(band)
            for permutation in bands[band]:
                key = (key ^ np.uint64(least[permutation])) * WORD_MIX
                key ^= key >> np.uint64(32)
            keys[band, row] = np.uint32(key)


@inlined
def _identify(words, start, asked, count, identities, row):
    """Sum the mixed hashes of all words and their positions, in two ways."""
    one, other = np.uint64(asked) * FIRST_MIX, np.uint64(asked) * SECOND_MIX
    for at in range(count):
        mixed = (words[start + at] ^ (np.uint64(at + 1) * SECOND_MIX)) * PLACE_MIX
        mixed ^= mixed >> np.uint64(32)
        one += mixed
        mixed *= OTHER_PLACE_MIX
        other += mixed ^ (mixed >> np.uint64(29))
    identities[row, 0] = finish(one) if count else np.uint64(0)
    identities[row, 1] = finish(other) if count else np.uint64(0)


# --- signatures to pairs --------------------------------------------------------------------------
@compiled
def bucket_pairs(packed, sketches, need, first_new, full_bucket, leaders, start, member, pairs):
    """Pairs of rows in one bucket whose sketches agree in at least ``need`` bytes, as ``later << 32 | earlier``.

    ``packed`` holds ``key << 32 | row``, sorted. In a bucket of up to ``full_bucket`` rows each is compared with
    all earlier ones, in a larger one with the first and with the last few (``leaders``) before it. Rows before
    ``first_new`` are not compared with each other. Returns where to resume (``start``, ``member``) once
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
        pairs[count] = (np.uint64(later) << np.uint64(32)) | np.uint64(earlier)
        count += 1
    return count


@inlined
def _agreement(sketches, one, other):
    """The number of equal bytes."""
    equal = 0
    for at in range(sketches.shape[1]):
        equal += sketches[one, at] == sketches[other, at]
    return equal


@compiled
def agreements(sketches, left, right, equal):
    """Write the number of equal bytes in the sketches of pairs."""
    for pair in range(len(left)):
        equal[pair] = _agreement(sketches, left[pair], right[pair])


# --- pairs to similarities ------------------------------------------------------------------------
@compiled
def pair_similarities(words, starts, asked, left, right, whole, answers):
    """Write the exact Jaccard similarities of pairs of texts, for whole texts and for answers.

    Pairs come as two columns. Those with the same right text should be adjacent: it is read once for all of them.
    Answers without words in both texts have similarity 1; a whole text without words is similar to
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
        # Short texts use only a small part of the table, so that it stays in the processor's cache.
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
    """The size of a hash table that is at most half full with this many entries; a power of two."""
    capacity = 16
    while capacity < 2 * entries:
        capacity *= 2
    return capacity


@inlined
def _enter(table, capacity, slots, words, start, asked, count, side, used):
    """Enter the n-grams of a text, marking those within its answer; lists their slots from ``used`` on.

    An entry is an n-gram except for its lowest bits, which say what holds it. An answer shorter than an
    n-gram is a single n-gram. Returns the end of the list.
    """
    answered, grams = count - asked, grams_of(count)
    last, own = np.uint64(capacity - 1), _OWN << side
    for number in range(grams + (1 if 0 < answered < SHINGLE_WORDS else 0)):
        at = number if number < grams else asked
        mark = ONE << side if number < grams else np.uint64(0)
        if at >= asked and (answered >= SHINGLE_WORDS or number == grams):
            mark |= _ANSWER << side
        gram = gram_hash(words[start + at], words[start + at + 1], words[start + at + 2])
        slot = (gram >> np.uint64(8)) & last
        while table[slot] != 0 and (table[slot] ^ gram) & ~_MARKS:
            slot = (slot + ONE) & last
        entry = table[slot]
        if not entry & own:
            slots[used] = slot
            used += 1
        table[slot] = entry | (gram & ~_MARKS) | mark
    return used


@inlined
def _tally(table, slots, first, used, side):
    """Count the n-grams of this side in some slots: those that only it holds and the shared ones, and the same
    for answers."""
    alone, common, answer_alone, answer_common = 0, 0, 0, 0
    for at in range(first, used):
        mark = table[slots[at]]
        alone += mark & _BOTH == ONE << side
        common += mark & _BOTH == _BOTH
        answer_alone += mark & _BOTH_ANSWERS == _ANSWER << side
        answer_common += mark & _BOTH_ANSWERS == _BOTH_ANSWERS
    return alone, common, answer_alone, answer_common


@inlined
def _leave(table, slots, first, used):
    """Clear the second text's marks from some slots, and n-grams that only it holds."""
    for at in range(first, used):
        entry = table[slots[at]] & ~_SECOND_TEXT
        table[slots[at]] = entry if entry & _MARKS else np.uint64(0)


# --- runs of words ---------------------------------------------------------------------------------
@compiled
def runs(words, starts, width, hashes, texts):
    """Write the hash and the text of every run of ``width`` words; returns their number."""
    count, power = 0, ONE
    for _ in range(width - 1):
        power *= WORD_MIX
    for number in range(len(starts) - 1):
        value = np.uint64(0)
        for at in range(starts[number], starts[number + 1] - 2):
            if at >= starts[number] + width:
                value -= words[at - width] * power
            value = value * WORD_MIX + words[at]
            if at >= starts[number] + width - 1:
                hashes[count] = finish(value)
                texts[count] = number
                count += 1
    return count
