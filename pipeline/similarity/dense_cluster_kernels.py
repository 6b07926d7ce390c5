"""The compiled loops over dense clusters: texts with many pairs each, whose n-grams are numbered once.

With numbers, finding what two texts share is a look-up in a table of marks, many times as fast as hashing.
Numbering the n-grams of a text costs as much as comparing it once.
"""

import numpy as np

from pipeline.compiled import compiled, inlined
from pipeline.text.uint64_ops import ONE, gram_hash, grams_of, prefetch
from pipeline.text.words import SHINGLE_WORDS

IN_TEXT, IN_ANSWER = 1, 2
"""The lowest bits of an entry: which parts of the text hold the n-gram. The others are its number."""
_FLAGS = 2
_AHEAD = 4
_HALF, _LOW = np.uint64(32), np.uint64(0xFFFFFFFF)


@compiled
def number_grams(words, starts, asked, table, distinct, before, entries, ends, sizes):
    """Write the entries of some texts, one per distinct n-gram, and their counts for the text and for its answer.

    Args:
        words, starts, asked: the output of ``hash_words``.
        table: slots x 2, a hash table: the n-gram, 0 in a free slot, then its number and below that the place of its
            newest entry. Both are adjacent, since fetching them takes longer than all else.
        distinct: how many numbers are in use.
        before: how many entries other texts have.
        entries: receives ``number << 2 | flags``; as long as there are words.
        ends: receives where each text's entries end, within ``entries``.
        sizes: texts x 2, receives the counts for the text and for its answer.

    Returns:
        The table, which may have grown, and how many numbers are in use now.
    """
    count = 0
    for text in range(len(asked)):
        start, words_asked = starts[text], asked[text]
        length = starts[text + 1] - start - 2
        answered, grams, first = length - words_asked, grams_of(length), count
        # An answer shorter than an n-gram is a single n-gram.
        for number in range(grams + (1 if 0 < answered < SHINGLE_WORDS else 0)):
            at = number if number < grams else words_asked
            flags = IN_TEXT if number < grams else 0
            if at >= words_asked and (answered >= SHINGLE_WORDS or number == grams):
                flags |= IN_ANSWER
            gram = gram_hash(words[start + at], words[start + at + 1], words[start + at + 2]) | ONE
            slot = _slot(table, gram)
            if table[slot, 0] == 0:
                if 2 * distinct >= len(table):
                    table = _grown(table)
                    slot = _slot(table, gram)
                table[slot, 0], table[slot, 1] = gram, np.uint64(distinct) << _HALF
                distinct += 1
            # Zero if there is no entry yet.
            newest = np.int64(table[slot, 1] & _LOW) - 1
            if newest >= before + first:
                entries[newest - before] |= np.uint32(flags)
            else:
                found = table[slot, 1] >> _HALF
                table[slot, 1] = found << _HALF | np.uint64(before + count + 1)
                entries[count] = np.uint32(found) << np.uint32(_FLAGS) | np.uint32(flags)
                count += 1
        ends[text] = count
        sizes[text, 0], sizes[text, 1] = 0, 0
        for place in range(first, count):
            sizes[text, 0] += entries[place] & IN_TEXT
            sizes[text, 1] += (entries[place] & IN_ANSWER) >> 1
    return table, distinct


@inlined
def _slot(table, gram):
    most = np.uint64(len(table) - 1)
    slot = (gram >> np.uint64(8)) & most
    while table[slot, 0] != 0 and table[slot, 0] != gram:
        slot = (slot + ONE) & most
    return slot


@inlined
def _grown(table):
    larger = np.zeros((2 * len(table), 2), dtype=np.uint64)
    for slot in range(len(table)):
        if table[slot, 0]:
            other = _slot(larger, table[slot, 0])
            larger[other, 0], larger[other, 1] = table[slot, 0], table[slot, 1]
    return larger


@compiled
def common_grams(entries, ends, sizes, distinct, left, right, whole, answers):
    """Write the exact Jaccard similarities of pairs of texts, for whole texts and for answers.

    Pairs with the same right text should be adjacent. ``ends`` has one more entry than there are texts, the first is 0.
    """
    marks = np.zeros(distinct, dtype=np.uint8)
    pair = 0
    while pair < len(right):
        other = right[pair]
        for place in range(ends[other], ends[other + 1]):
            marks[entries[place] >> _FLAGS] = entries[place] & (IN_TEXT | IN_ANSWER)
        while pair < len(right) and right[pair] == other:
            one = left[pair]
            if pair + _AHEAD < len(left):
                later = left[pair + _AHEAD]
                for place in range(ends[later], ends[later + 1], 16):
                    prefetch(entries, place)
            common, answer_common = 0, 0
            for place in range(ends[one], ends[one + 1]):
                both = entries[place] & marks[entries[place] >> _FLAGS]
                common += both & IN_TEXT
                answer_common += (both & IN_ANSWER) >> 1
            whole[pair] = common / max(sizes[one, 0] + sizes[other, 0] - common, 1)
            answer = sizes[one, 1] + sizes[other, 1] - answer_common
            answers[pair] = answer_common / answer if answer else 1.0
            pair += 1
        for place in range(ends[other], ends[other + 1]):
            marks[entries[place] >> _FLAGS] = 0
