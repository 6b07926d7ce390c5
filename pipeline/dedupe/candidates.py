"""Rows as far as duplicates are concerned: what is known of one, what becomes of it, and whom it stands for."""

from dataclasses import dataclass, field

_TRAIN = "train"
MOST_CONFLICTING_ANSWERS = 10
"""Rows that are named in a conflict; an input may have thousands of answers."""


# Neither this nor the next is frozen: such objects take several times as long to make, and every row has one.
@dataclass(slots=True)
class Candidate:
    """One row as far as duplicates are concerned."""

    record_id: str
    text: int
    """Which of the compared texts its inputs are; -1 where they have no words."""
    key: str
    """The inputs normalised so far that rows of equal keys ask the same."""
    answer: str | None
    """The targets as canonical JSON; None for an unlabeled row."""
    human: bool
    """A person gave or confirmed the answer."""
    order: int
    """When the row came: earlier rows have smaller numbers."""
    held: bool = False
    """A person must look at it before it can be published."""
    disputed: bool = False
    """Somebody was unsure about it, people contradict each other, or the source contradicts a person: its copies are
    its duplicates and wait, too."""
    contradicted: bool = False
    """The source contradicts a person: it is no row's near duplicate, or nobody would learn of it."""
    group_keys: tuple[str, ...] = ()
    """Rows that have one of these in common stay in one split."""
    split: str | None = None
    """The split that this very row is bound to, from an earlier release or by its source."""
    published: bool = False
    """It was in an earlier release: there the split is a fact, by its source it is a wish."""
    told: bool = False
    """Its very text is in an earlier version, and not only its record under another text."""
    replaced: str | None = None
    """The answer that stood there before a person gave another one."""
    free_text: int = -1
    """Which of the compared texts with answers it is, where its answer is written rather than chosen or copied; -1
    elsewhere. Written answers need only be alike, others must be equal."""
    closed: str = ""
    """The rest of such an answer, which must be equal."""
    frozen: bool = False
    """It is published as it is, unless that would be a leak; others give way to it."""
    past: bool = False
    """It stands in an earlier version, but is no record now: it binds what resembles it, and nothing else."""

    @property
    def evaluates(self) -> bool:
        """Its source is an evaluation set, which must stay whole; published rows are where they are anyway."""
        return not self.published and self.answer is not None and self.split not in (None, _TRAIN)

    @property
    def merits(self) -> tuple[bool, bool, bool, bool, bool, bool, bool]:
        """Smaller is kept: what is published as it is, then of an evaluation set, then verified by a person, then
        labeled, then what people could not settle, then ready to be published. Past rows come last.
        """
        labeled = self.answer is not None
        return (
            *(self.past, not self.frozen, not self.evaluates, not (self.human and labeled), not labeled),
            *(not self.disputed, self.held),
        )

    @property
    def preference(self) -> tuple[bool, bool, bool, bool, bool, bool, bool, int, int, str]:
        """Of equal merits, the longest input and written answer is kept (folded, so that mere white space does not
        count), then the first.
        """
        size = len(self.key) + (len(self.answer or "") if self.free_text >= 0 else 0)
        return (*self.merits, -size, self.order, self.record_id)


@dataclass(slots=True)
class Resolution:
    """What one row is. A row with none of ``duplicate_of``, ``overridden_by`` and ``bridges`` is kept."""

    duplicate_of: str | None = None
    """The kept row that has the same answer; any answer, where this row has none."""
    exact: bool = False
    """The duplicate has the same key."""
    similarity: float | None = None
    """With the row it duplicates: 1.0 for the same key, otherwise the verified Jaccard similarity; where both have
    written answers that are alike, that of the inputs with their answers."""
    conflict: tuple[str, ...] = ()
    """Rows with the same key and another answer, the preferred ones first; one row for each answer, at most
    ``MOST_CONFLICTING_ANSWERS``."""
    conflicting_answers: int = 0
    """How many other answers the key has."""
    overridden_by: str | None = None
    """The row of the same key that a person gave another answer."""
    corrected: str | None = None
    """A similar row that had this one's answer until a person gave it another."""
    bridges: tuple[str, str] | None = None
    """The two splits between which the row would be a leak."""
    group: str = ""
    """The record_id of the group's earliest row, duplicates included, so that later rows never change it
    (unless they join two groups). Empty for a bridge, which belongs to no group."""
    split: str | None = None
    """The split that the group is bound to. It also counts where the row that was bound is now a
    duplicate of this one."""

    @property
    def is_kept(self) -> bool:
        """Whether the row can be published, as far as duplicates are concerned."""
        return self.duplicate_of is None and self.overridden_by is None and self.bridges is None


@dataclass(slots=True)
class Kept:
    """A row that is kept, and the rows that it stands for."""

    head: Candidate
    exact: list[Candidate]
    near: list[tuple[Candidate, float]] = field(default_factory=list)
    overridden: list[Candidate] = field(default_factory=list)
    """Of its own key, and of its near duplicates' keys."""
    joined: list[int] = field(default_factory=list)
    """The cells of the near duplicates."""

    def pinned_splits(self) -> list[str]:
        """The splits that it must go to: its own, else that of its key, else those of the near duplicates.

        A text that was published elsewhere keeps a row out that was not, or not with this text: a text never moves.
        And whatever was published in another split keeps a row of an evaluation set out: a model may have seen it.
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
        """Whether it stands for no other row; most do not."""
        return not (self.exact or self.near or self.overridden)

    def rows(self) -> list[Candidate]:
        """The head and all rows that it stands for."""
        return [self.head, *self.exact, *(row for row, _ in self.near), *self.overridden]
