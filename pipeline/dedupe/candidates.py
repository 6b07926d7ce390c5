"""Rows as deduplication sees them: what is known of one, what becomes of it, and which rows it represents."""

from dataclasses import dataclass, field

_TRAIN = "train"
MOST_CONFLICTING_ANSWERS = 10
"""Rows named in a conflict; an input may have thousands of answers."""


# Neither this nor the next is frozen: frozen objects take several times as long to create, and every row has one.
@dataclass(slots=True)
class Candidate:
    """One row as deduplication sees it."""

    record_id: str
    text: int
    """Which of the compared texts its inputs are; -1 if they have no words."""
    key: str
    """The inputs, normalized so that rows that ask the same have equal keys."""
    answer: str | None
    """The targets as canonical JSON; None for an unlabeled row."""
    human: bool
    """An annotator gave or confirmed the answer."""
    order: int
    """The order of arrival: earlier rows have smaller numbers."""
    held: bool = False
    """An annotator must see it before it can be published."""
    disputed: bool = False
    """An annotator was unsure, annotators contradict each other, or the source contradicts an annotator: its copies are
    its duplicates and wait, too."""
    contradicted: bool = False
    """The source contradicts an annotator: it is never a near-duplicate, or the contradiction would stay hidden."""
    group_keys: tuple[str, ...] = ()
    """Rows that share one of these stay in one split."""
    split: str | None = None
    """The split that this row itself is pinned to, by an earlier release or by its source."""
    published: bool = False
    """It was in an earlier release: then the split is a fact; set by its source, it is a wish."""
    letters: int = -1
    """Which of the compared spellings its inputs have; -1 if they are long, or have no words."""
    told: bool = False
    """Its exact text is in an earlier version, not only its record with another text."""
    replaced: str | None = None
    """The earlier answer, before an annotator gave another one."""
    free_text: int = -1
    """Which of the compared texts with answers it is, if its answer is free text rather than chosen or copied; -1
    otherwise. Free-text answers need only be similar, others must be equal."""
    closed: str = ""
    """The rest of such an answer, which must be equal."""
    frozen: bool = False
    """It is published as is, unless that would be a leak; others give way to it."""
    past: bool = False
    """It is in an earlier version, but no longer a record: it only pins what is similar to it."""

    @property
    def evaluates(self) -> bool:
        """Its source is an evaluation set, which must stay complete; published rows stay where they are anyway."""
        return not self.published and self.answer is not None and self.split not in (None, _TRAIN)

    @property
    def merits(self) -> tuple[bool, bool, bool, bool, bool, bool, bool]:
        """Smaller is kept: what is published as is, then evaluation sets, then verified by an annotator, then
        labeled, then what annotators could not settle, then ready to be published. Past rows come last.
        """
        labeled = self.answer is not None
        return (
            *(self.past, not self.frozen, not self.evaluates, not (self.human and labeled), not labeled),
            *(not self.disputed, self.held),
        )

    @property
    def preference(self) -> tuple[bool, bool, bool, bool, bool, bool, bool, int, int, str]:
        """Among equals, the longest input with free-text answer is kept (folded, so that extra whitespace does not
        count), then the first.
        """
        size = len(self.key) + (len(self.answer or "") if self.free_text >= 0 else 0)
        return (*self.merits, -size, self.order, self.record_id)


@dataclass(slots=True)
class Resolution:
    """What one row is. A row with none of ``duplicate_of``, ``overridden_by`` and ``bridges`` is kept."""

    duplicate_of: str | None = None
    """The kept row with the same answer, or with any answer if this row has none."""
    exact: bool = False
    """The duplicate has the same key."""
    similarity: float | None = None
    """With the row it duplicates: 1.0 for the same key, otherwise the verified Jaccard similarity; if both have
    similar free-text answers, that of the inputs with their answers."""
    conflict: tuple[str, ...] = ()
    """Rows with the same key and another answer, the preferred ones first; one row per answer, at most
    ``MOST_CONFLICTING_ANSWERS``."""
    conflicting_answers: int = 0
    """How many other answers the key has."""
    overridden_by: str | None = None
    """The row of the same key to which an annotator gave another answer."""
    corrected: str | None = None
    """A similar row that had this one's answer until an annotator changed it."""
    bridges: tuple[str, str] | None = None
    """The two splits that the row would link."""
    group: str = ""
    """The record_id of the group's earliest row, duplicates included, so that later rows never change it
    (unless they join two groups). Empty for a bridge, which belongs to no group."""
    split: str | None = None
    """The split that the group is pinned to. It also counts if the pinned row is now a
    duplicate of this one."""

    @property
    def is_kept(self) -> bool:
        """Whether deduplication allows the row to be published."""
        return self.duplicate_of is None and self.overridden_by is None and self.bridges is None


@dataclass(slots=True)
class Kept:
    """A kept row, and the rows that it represents."""

    head: Candidate
    exact: list[Candidate]
    near: list[tuple[Candidate, float]] = field(default_factory=list)
    overridden: list[Candidate] = field(default_factory=list)
    """Of its own key, and of its near-duplicates' keys."""
    joined: list[int] = field(default_factory=list)
    """The cells of the near-duplicates."""

    def pinned_splits(self) -> list[str]:
        """The splits that it must go to: its own, else that of its key, else those of the near-duplicates.

        A text published elsewhere keeps out a row that was not published, or not with this text: a text never moves.
        And anything published in another split keeps out a row of an evaluation set: a model may have seen it.
        """
        if self.alone and not self.head.split:
            return []
        if (self.head.evaluates or self.head.frozen) and self.head.split:
            return sorted({self.head.split, *(row.split for row in self.rows() if row.published and row.split)})
        told = {row.split for row in self.rows() if row.told and row.split}
        if told and not self.head.told:
            return sorted({*told, self.head.split} if self.head.split else told)
        same = [row.split for row in (self.head, *self.exact, *self.overridden) if row.split]
        return same[:1] or sorted({row.split for row, _ in self.near if row.split})

    @property
    def alone(self) -> bool:
        """Whether it represents no other row; most do not."""
        return not (self.exact or self.near or self.overridden)

    def rows(self) -> list[Candidate]:
        """The head and all rows that it represents."""
        return [self.head, *self.exact, *(row for row, _ in self.near), *self.overridden]
