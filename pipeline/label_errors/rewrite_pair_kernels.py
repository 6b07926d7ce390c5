"""The compiled look-up of pairs of words."""

from pipeline.compiled import compiled


@compiled
def most_explained(original_starts, lefts, answer_starts, rights, starts, partners, values, found):
    """Find for every word of answers the highest value that it has with any word of its original.

    Args:
        original_starts, lefts: the words of the original of every row.
        answer_starts, rights: the words of its answer.
        starts, partners, values: for every left word its right ones, ascending, with the value of each such pair.
        found: receives the highest value of every right word; 0 without any pair.
    """
    for row in range(len(answer_starts) - 1):
        for place in range(answer_starts[row], answer_starts[row + 1]):
            right = rights[place]
            most = 0
            for at in range(original_starts[row], original_starts[row + 1]):
                low, end = starts[lefts[at]], starts[lefts[at] + 1]
                high = end
                while low < high:
                    middle = (low + high) // 2
                    if partners[middle] < right:
                        low = middle + 1
                    else:
                        high = middle
                if low < end and partners[low] == right:
                    most = max(most, values[low])
            found[place] = most
