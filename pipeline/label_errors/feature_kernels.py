"""The compiled loops from the characters of texts to hashes of words and pieces of words, and to how often each occurs.

Texts are code points one after another; ``kinds`` says of each whether it is a space or belongs to a word.
"""

import numpy as np

from pipeline.compiled import compiled, inlined
from pipeline.text.uint64_ops import ONE, PLACE_MIX, WORD_MIX

OTHER, SPACE, WORD = 0, 1, 2
_BLANK = np.uint64(32)
_NOTHING = np.uint64(0)
_SHIFT, _HALF = np.uint64(29), np.uint64(32)


@inlined
def _mixed(value, more):
    """The hash of one more code point or word; never 0."""
    # Not symmetrical: "to have" is another pair than "have to".
    value = (value * WORD_MIX) ^ more
    value = (value ^ (value >> _SHIFT)) * PLACE_MIX
    return (value ^ (value >> _HALF)) | ONE


@compiled
def word_grams(codes, kinds, starts, grams, ends):
    """Write the hashes of words of two or more characters, and of pairs of words that follow each other.

    Args:
        codes, kinds: of all texts.
        starts: texts + 1, where each begins.
        grams: receives the hashes; there are at most as many as characters.
        ends: texts + 1, receives where those of each text end.
    """
    count = 0
    ends[0] = 0
    for text in range(len(starts) - 1):
        before, at, end = _NOTHING, starts[text], starts[text + 1]
        while at < end:
            if kinds[at] != WORD:
                at += 1
                continue
            value, first = _NOTHING, at
            while at < end and kinds[at] == WORD:
                value = _mixed(value, np.uint64(codes[at]))
                at += 1
            if at - first > 1:
                grams[count] = value
                count += 1
                if before != _NOTHING:
                    grams[count] = _mixed(before, value)
                    count += 1
                before = value
        ends[text + 1] = count


@compiled
def piece_grams(codes, kinds, starts, grams, ends):
    """Write the hashes of two and three characters within words, with the blanks around them.

    Words are what stands between spaces; there are at most three hashes for each character.
    """
    count = 0
    ends[0] = 0
    for text in range(len(starts) - 1):
        at, end = starts[text], starts[text + 1]
        while at < end:
            if kinds[at] == SPACE:
                at += 1
                continue
            value = _mixed(_NOTHING, _BLANK)
            first = at
            while at < end and kinds[at] != SPACE:
                pair = _mixed(value, np.uint64(codes[at]))
                grams[count] = pair
                count += 1
                last = at + 1 == end or kinds[at + 1] == SPACE
                grams[count] = _mixed(pair, _BLANK if last else np.uint64(codes[at + 1]))
                count += 1
                value = _mixed(_NOTHING, np.uint64(codes[at]))
                at += 1
            if at > first:
                grams[count] = _mixed(value, _BLANK)
                count += 1
        ends[text + 1] = count


@compiled
def count_grams(grams, ends, first, known, keys, ids, seen, texts, columns, counts, starts):
    """Count the grams of some texts; returns how many different ones are known then.

    Args:
        grams, ends: of these texts.
        first: the number of the first text.
        known: how many different grams are known.
        keys, ids: a hash table, from grams to their numbers; its size is a power of two, and 0 is a free slot.
        seen: grams x 2, the last text that had it, and where its count is.
        texts: grams, in how many texts it is.
        columns, counts, starts: receive a sparse matrix of these texts, its values one by one and where rows end.
    """
    mask = np.uint64(len(keys) - 1)
    size = 0
    starts[0] = 0
    for text in range(len(ends) - 1):
        for at in range(ends[text], ends[text + 1]):
            gram = grams[at]
            slot = (gram >> ONE) & mask
            while keys[slot] != _NOTHING and keys[slot] != gram:
                slot = (slot + ONE) & mask
            if keys[slot] == _NOTHING:
                keys[slot] = gram
                ids[slot] = known
                seen[known, 0] = -1
                texts[known] = 0
                known += 1
            number = ids[slot]
            if seen[number, 0] == first + text:
                counts[seen[number, 1]] += 1
            else:
                seen[number, 0] = first + text
                seen[number, 1] = size
                texts[number] += 1
                columns[size] = number
                counts[size] = 1
                size += 1
        starts[text + 1] = size
    return known


@compiled
def move_keys(keys, ids, more_keys, more_ids):
    """Copy a hash table into a larger one."""
    mask = np.uint64(len(more_keys) - 1)
    for old in range(len(keys)):
        if keys[old] != _NOTHING:
            slot = (keys[old] >> ONE) & mask
            while more_keys[slot] != _NOTHING:
                slot = (slot + ONE) & mask
            more_keys[slot] = keys[old]
            more_ids[slot] = ids[old]
