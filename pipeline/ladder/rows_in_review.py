"""Rows that wait in review are no test questions, and they are the hard ones: what that may mean for the scores."""

from pydantic import BaseModel

from pipeline.evaluation.estimates import Unit
from pipeline.text.wording import counted
from schemas.manifest import Manifest


class RowsInReview(BaseModel, frozen=True):
    """The rows with an answer that waited for annotators when a version was published, and could be test questions."""

    rows: int
    doubted: int
    """Of these, rows whose answer models on the other rows doubt."""
    expected: float
    """How many of them would be test questions, were they divided like other rows."""

    def share(self, questions: int) -> float:
        """What part of all test questions they would be, 0 to 1."""
        return self.expected / (questions + self.expected)

    def said(self, version: str, questions: int, unit: Unit) -> str:
        """In words.

        Args:
            version: the published one, as ``name@version``.
            questions: of its test split.
            unit: of the scores.
        """
        they = "are" if self.rows > 1 else "is"
        text = (
            f"{counted(self.rows, 'row')} with an answer waited in review when {version} was published, and {they} in "
            "none of its splits: the scores are those of the easier rest."
        )
        if unit is Unit.SHARE:
            most, more = 100 * self.share(questions), counted(max(1, round(self.expected)), "more question")
            text += (
                f" With their share of the test split, about {more}, a score could be up to {most:.1f} points lower, "
                "and a difference between two arms shift by about as much."
            )
        if self.doubted:
            text += (
                f" Models on the words of the other rows doubt the answer of {self.doubted:,}: an arm of their kind, "
                "such as a linear model, gains most from that."
            )
        return text


def rows_in_review(manifest: Manifest, test: str) -> RowsInReview | None:
    """What is known of them; None if there are none that could become a test question.

    A row of a source with another split never does. Nor does any other where an exam takes up the share of the split.

    Args:
        manifest: of the version; early ones have not counted them.
        test: the name of the split that is asked.
    """
    fractions = manifest.config.get("split", {}).get("fractions", {})
    share = fractions.get(test, 0) / (sum(fractions.values()) or 1)
    pinned = manifest.in_review_pinned
    free, own = manifest.in_review - sum(pinned.values()), pinned.get(test, 0)
    drawn = share * free
    if any(source.get("split") == test for source in manifest.config.get("sources", [])):
        published = sum(file.rows for file in manifest.splits.values())
        drawn = min(drawn, share * (published + manifest.in_review) - manifest.splits[test].rows - own)
    rows = own + (free if drawn > 0 else 0)
    if not rows:
        return None
    # Of some of them nobody knows which are doubted.
    doubted = manifest.doubted if rows == manifest.in_review else 0
    return RowsInReview(rows=rows, doubted=doubted, expected=own + max(0.0, drawn))
