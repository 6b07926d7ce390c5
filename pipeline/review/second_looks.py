"""Which answers somebody else should look at: those that neither the row nor any model expects.

One annotator in twenty is mistaken, and of rows that models find right fewer are wrong than that. An answer against
such a row is more likely a slip than a discovery.
"""

from pipeline.kinds.registry import kind_of
from schemas.annotation import Annotation, Verdict
from schemas.decision import Decision
from schemas.fate import Fate, Routed
from schemas.field import same_targets
from schemas.task import Task
from schemas.task_fields import conversation_target

_DOUBTED = 0.5
"""From this chance of being wrong on, a row's own answer is no voice against the annotator's."""


def is_surprising(asked: Decision, answer: Annotation, task: type[Task]) -> bool:
    """Whether nothing that is known of a row speaks for an annotator's answer.

    Free texts and conversations are left out: of these, two answers differ anyway.

    Args:
        asked: the automatic decision that the annotator was asked about.
        answer: theirs.
        task: has the fields.
    """
    own, score = asked.targets, asked.label_error_score
    passed = asked.routed is Routed.AUDIT and asked.fate is Fate.ACCEPTED
    if own is None or conversation_target(task) or kind_of(task).free_texts(task):
        return False
    if answer.verdict is Verdict.UNUSABLE:
        return passed
    if answer.verdict is not Verdict.LABELED or same_targets(answer.targets, own):
        return False
    others = [one for one in (asked.suggestion, asked.model_answer) if one is not None]
    if any(same_targets(answer.targets, one) for one in others):
        return False
    return bool(others) or (passed if score is None else score < _DOUBTED)
