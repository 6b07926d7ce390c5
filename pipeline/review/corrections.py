"""Which answer an annotator's answer corrects."""

from collections.abc import Mapping

from schemas.annotation import Annotation, Verdict
from schemas.decision import Decision
from schemas.fate import LabelSource
from schemas.field import JsonValue, same_targets


def corrected(
    annotation: Annotation, asked: Decision, own: Mapping[str, JsonValue] | None
) -> dict[str, JsonValue] | None:
    """The answer that an annotator found wrong; None if there was none, or if it is the annotator's, too.

    Args:
        annotation: what the annotator said.
        asked: the decision about the record when it was asked about.
        own: the record's own answer now; once its source has taken the correction over, it is that of the question.
    """
    if annotation.verdict is not Verdict.LABELED:
        return None
    before = None if asked.label_source is LabelSource.HUMAN else asked.targets
    wrong = (answer for answer in (own, before) if answer is not None and not same_targets(answer, annotation.targets))
    return next((dict(answer) for answer in wrong), None)
