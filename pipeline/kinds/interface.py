"""What differs between kinds of task: the interface that every file in this room implements."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from numpy.typing import NDArray

from pipeline.evaluation.scores import Confusion, Credit, Measure, Outcome, Part, PartMetric
from pipeline.kinds.starter_files import starter_files
from schemas.dataset import OnConflict
from schemas.fate import Reason
from schemas.field import JsonValue, TargetField
from schemas.task import Task

Targets = Mapping[str, JsonValue]


class Breakdown(StrEnum):
    """What values, scores and mistakes are broken down by."""

    LABEL = "label"
    FIELD = "field"

    @property
    def values_title(self) -> str:
        """The heading for the accepted answers."""
        match self:
            case Breakdown.LABEL:
                return "Labels of the accepted records"
            case Breakdown.FIELD:
                return "Values of the accepted records"

    @property
    def suspects_title(self) -> str:
        """The heading for the accepted answers that are in doubt."""
        match self:
            case Breakdown.LABEL:
                return "Suspect labels"
            case Breakdown.FIELD:
                return "Suspect answers"


@dataclass(frozen=True, slots=True)
class LabeledText:
    """What label scoring needs of a row."""

    text: str
    """All texts and numbers in its inputs."""
    inputs: Mapping[str, Any]
    targets: Targets | None
    """None for an unlabeled row."""
    group: str
    """Rows of one group are never used to score each other."""
    verified: bool = False
    """Whether an annotator gave or confirmed the targets: they are right."""
    also: Sequence[Targets] = ()
    """Other rows' answers to the same input, where any of several is right."""


@dataclass(frozen=True, slots=True)
class LabelScore:
    """How likely the label of one row is wrong, why, and what might be right instead."""

    score: float | None = None
    """From 0 to 1, how likely an annotator would correct it; None if unknown."""
    suggestion: dict[str, JsonValue] | None = None
    reasons: tuple[Reason, ...] = ()
    """With codes out of ``LABEL_ERROR_CODES``."""


@dataclass(frozen=True, slots=True)
class LabelScores:
    """The scores of some rows, in their order."""

    rows: Sequence[LabelScore]
    note: str = ""
    """What limits them, as text for the report; empty if nothing does."""


Kept = Mapping[str, NDArray[Any]]
"""Arrays by name, none of them of Python objects: they are kept in files from run to run."""
LEARNED_ROWS = 50_000
"""At most so many rows are learned from; of more, a sample."""


@dataclass(frozen=True, slots=True)
class Learned:
    """What comes of the rows that are compared with each other."""

    scores: LabelScores
    """Their own, each by the other rows."""
    kept: Kept
    """What judges rows that come later; empty if each row is judged by itself, or nothing could be learned."""


class Kind(ABC):
    """One kind of task. Code that depends on how kinds differ asks this interface, never which kind it is."""

    name: ClassVar[str]
    """One word, used by the command line, the manifest, the card and the report."""
    hub_categories: ClassVar[tuple[str, ...]] = ("text-generation",)
    """The ``task_categories`` of a dataset card."""
    answers_repeat: ClassVar[bool] = False
    """Whether similar rows mostly have the same answer, so that a different one is worth checking."""
    digits_answer: ClassVar[bool] = False
    """Whether a digit key alone answers in the labeling form; next to text fields it is easily pressed by mistake."""
    rules: ClassVar[Collection[str]] = ()
    """The names of the rules by which answers are doubted; users can turn each off."""
    learns_labels: ClassVar[bool] = True
    """Whether label scores come from a model of the other rows: then a score is kept until a new one is asked for."""
    least_labeled: ClassVar[int] = 1
    """From fewer labeled rows nothing is learned."""
    judges_alone: ClassVar[bool] = False
    """Whether each row is judged by itself, whatever the others are like."""
    scores_are_chances: ClassVar[bool] = True
    """Whether a label score is the chance of an error, or only ranks the rows: those of rules do."""
    on_conflict: ClassVar[OnConflict] = OnConflict.REVIEW
    """What different answers to the same input are, if the dataset.yaml does not say: a conflict, or all right."""
    judged_by_loss: ClassVar[bool] = False
    """Whether the metric is the loss on the gold answers: there are many good ones, and no other is the gold one."""
    breakdown: ClassVar[Breakdown] = Breakdown.FIELD
    part_metric: ClassVar[PartMetric] = PartMetric.F1
    """Which score the report shows of each part."""
    metric: ClassVar[str]
    """The name of the metric that models are judged by, as in the manifest."""
    metric_title: ClassVar[str]
    """The metric's name as shown in text."""
    answers_metric: ClassVar[tuple[str, str]] = ("", "")
    """Name and title of what answers are judged by if no losses are known, of a kind that is judged by them."""
    exact_title: ClassVar[str] = ""
    """What to call the answers that are right as a whole; empty if the metric counts them, or none can be expected."""
    limits: ClassVar[str] = ""
    """What Goldleaf does not do for the kind yet, as text for the user; empty if it does everything."""

    @abstractmethod
    def accepts(self, targets: Sequence[TargetField]) -> bool:
        """Whether a task with these targets can be of this kind."""

    def claims(self, targets: Sequence[TargetField]) -> bool:
        """Whether such a task is of this kind if it does not name one; of several kinds the first has it."""
        return self.accepts(targets)

    @abstractmethod
    def strata(self, task: type[Task], targets: Targets) -> tuple[str, ...]:
        """The labels by which splits, samples and questions are stratified; an absent one is ``""``."""

    def labels(self, task: type[Task]) -> tuple[str, ...]:
        """All that ``strata`` can give for an answer; none if answers are not labels."""
        return ()

    @abstractmethod
    def learn_labels(
        self, task: type[Task], rows: Sequence[LabeledText], seed: int, off: Collection[str] = ()
    ) -> Learned:
        """Score how likely an annotator would correct the label of each row, and keep what judges others by them.

        Equal arguments, equal scores.

        Args:
            task: of the dataset.
            rows: all that are compared with each other, at most ``LEARNED_ROWS``.
            seed: of what is random.
            off: those of ``rules`` that find nothing.
        """

    @abstractmethod
    def judge_labels(
        self, task: type[Task], rows: Sequence[LabeledText], kept: Kept, off: Collection[str] = ()
    ) -> LabelScores:
        """Score rows that were not learned from; each score depends on its row and on what was kept, and nothing else.

        Args:
            task: of the dataset.
            rows: any number.
            kept: of ``learn_labels``; empty if each row is judged by itself.
            off: those of ``rules`` that find nothing.
        """

    @abstractmethod
    def credit(self, task: type[Task], answer: Targets | None, gold: Targets) -> Credit:
        """What an answer earns against a gold one; the metric is the ratio of the sums over all answers.

        Both are canonical. An unreadable answer (None) earns 0 of 1 or more, the gold answer itself earns everything.
        """

    def nearest(self, task: type[Task], answer: Targets | None, golds: Sequence[Targets]) -> tuple[int, Credit]:
        """Which of several gold answers, at least one, an answer is compared with, and what it earns.

        Among equally near ones the smallest wins, then the first by their values: the order of ``golds`` is irrelevant.
        """
        earned = [self.credit(task, answer, gold) for gold in golds]
        ranks = [
            (-credit.worth, credit.possible, repr(sorted(gold.items())))
            for credit, gold in zip(earned, golds, strict=True)
        ]
        place = ranks.index(min(ranks))
        return place, earned[place]

    @abstractmethod
    def parts(self, task: type[Task], outcomes: Sequence[Outcome]) -> tuple[Part, ...]:
        """The scores of each label or field."""

    def measures(self, task: type[Task], outcomes: Sequence[Outcome]) -> tuple[Measure, ...]:
        """What is said of the answers besides the metric."""
        return ()

    def free_texts(self, task: type[Task]) -> Collection[str]:
        """The targets that are written anew, of which annotators see what they change."""
        return ()

    def original(self, task: type[Task]) -> str:
        """The input that they change; empty if there is none."""
        return ""

    def copied(self, task: type[Task], inputs: Mapping[str, Any]) -> Targets | None:
        """The answer that only copies the inputs, which a model must beat; None where copying is no answer."""
        return None

    def starter(self) -> dict[str, str]:
        """The kind's starter files for a new dataset, ``task.py`` and ``data.jsonl``, by name."""
        return starter_files(self.name)

    def confusions(self, task: type[Task], outcomes: Sequence[Outcome]) -> tuple[Confusion, ...]:
        """Which labels are most often confused with which others; none if answers are not labels."""
        return ()
