"""Which annotators' answers to a question are the same one, though their free texts are punctuated differently."""

from collections.abc import Collection, Hashable, Sequence

from pipeline.text.free_wording import wording
from schemas.annotation import Annotation
from schemas.field import comparable_targets


def vote_of(answer: Annotation, free_texts: Collection[str] = ()) -> Hashable:
    """The same for equal answers.

    Args:
        answer: of an annotator.
        free_texts: the targets that are written anew; in them case, whitespace and punctuation make no difference.
    """
    targets = answer.targets
    if targets is None or not free_texts:
        return answer.verdict, comparable_targets(targets)
    closed = {name: value for name, value in targets.items() if name not in free_texts}
    texts = [(name, targets.get(name)) for name in sorted(free_texts)]
    words = tuple((name, wording(text) if isinstance(text, str) else None) for name, text in texts)
    return answer.verdict, comparable_targets(closed), words


def first_worded(votes: Sequence[Annotation]) -> int:
    """Of the same answers, oldest first, the place of the one that counts: in the words that were given first, the
    latest.
    """
    first = comparable_targets(votes[0].targets)
    return max(place for place, one in enumerate(votes) if comparable_targets(one.targets) == first)
