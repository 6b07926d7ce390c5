"""Show a dataset's state as one self-contained HTML page: its content, and how it is rendered.

The caller fills ``ReportData`` from the store; ``render_report`` is pure and only reads its template.
"""

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, Field

from pipeline.evaluation.estimates import Estimate
from pipeline.evaluation.scores import PartMetric
from pipeline.kinds.interface import Breakdown
from pipeline.releases.audit_result import AuditResult
from pipeline.reporting.annotators import AnnotatorsTable
from pipeline.reporting.error_outlook import ErrorOutlook
from pipeline.reporting.last_finetuning import Judged
from pipeline.reporting.page_environment import page_environment
from pipeline.reporting.score_of_suggestions import SuggestionScore
from pipeline.reporting.verdict_content import VerdictContent
from pipeline.text.token_lengths import Count, TokenLengths
from schemas.dataset import Share
from schemas.fate import Fate, ReasonCode, Routed
from schemas.manifest import Funnel
from schemas.run_summary import Changed, Proof
from schemas.similarities import Similarities


class ReportPart(BaseModel, extra="forbid", frozen=True, allow_inf_nan=False):
    """The base of all content of the page."""


class Published(ReportPart):
    """The version that the page describes."""

    name: str
    version: str
    digest: str
    """``sha256:`` and 64 hex digits."""
    splits: dict[str, Count] = {}
    """Rows by split."""


class ShownRecord(ReportPart):
    """A record as shown: its place, and its input as text."""

    record_id: str = ""
    file: str
    line: Count
    text: str = ""
    head: str = ""
    """What a single line shows of it, if not the beginning of its text."""
    answer: str = ""
    """Empty where its section shows it elsewhere, or not at all."""
    setting: str = ""
    """The system prompt and the tools of a conversation beside another one."""
    detail: str = ""
    """What its section says about it: the reason's field and detail, or why annotators were asked."""
    sensitive: bool = False
    """It may contain private data: the page, which travels further than the records, redacts it."""
    withheld: bool = False
    """It is not in the version that the page travels with: only its place is here."""


class ReasonCount(ReportPart):
    """How many current records have a fate for a reason; one with several reasons counts for each."""

    fate: Fate
    code: ReasonCode
    records: Count
    examples: list[ShownRecord] = []


class ValueCount(ReportPart):
    """How many accepted records have a label, or a value of a field."""

    value: str
    records: Count
    splits: dict[str, Count] = {}
    """The same by split; empty if no version is published."""


class FieldFill(ReportPart):
    """How many accepted records have a value for a target, and which values."""

    name: str
    filled: Count
    records: Count
    """All accepted records."""
    distinct: Count
    top: list[ValueCount] = []


class DuplicatePair(ReportPart):
    """A record that was dropped, and the one that is kept."""

    kept: ShownRecord
    dropped: ShownRecord
    exact: bool
    similarity: Share
    """Verified Jaccard similarity of the inputs."""
    answer: str


class NearMiss(ReportPart):
    """Two records near the threshold that are both kept."""

    one: ShownRecord
    other: ShownRecord
    similarity: Share
    reason: str
    answers: tuple[str, str]


class AnswerInConflict(ReportPart):
    """One of the answers to an input."""

    answer: str
    records: Count
    example: ShownRecord


class Conflict(ReportPart):
    """One input with several answers."""

    text: str
    answers: list[AnswerInConflict]


class Change(ReportPart):
    """An answer that reviewers replaced by another."""

    field: str = ""
    """The target, if the task has several."""
    before: str
    after: str
    """Both are empty if there is no value."""
    records: Count
    examples: list[ShownRecord] = []


class RouteCount(ReportPart):
    """The records chosen for review for one purpose."""

    route: Routed
    settled: Count = 0
    open: Count = 0
    """Without an answer, or annotators are unsure or contradict each other."""


class ReviewCounts(ReportPart):
    """What became of the records chosen for review; each is in exactly one of the counts."""

    confirmed: Count = 0
    changed: Count = 0
    entered: Count = 0
    """It had no answer before."""
    unusable: Count = 0
    unsure: Count = 0
    disputed: Count = 0
    """Annotators contradict each other."""
    skipped: Count = 0
    invalid: Count = 0
    """The answer breaks the task's schema and must be corrected."""
    again: Count = 0
    """It is answered, but a second annotator or an adjudicator is asked, too."""
    waiting: Count = 0
    asked: str = ""
    """How many questions are open, as status says it; empty if none is, or on the page of a version."""
    routes: list[RouteCount] = []
    """The same by what they were chosen for."""
    sent: Count = 0
    """Of all of them, those that were sent to annotators."""
    changes: list[Change] = []
    audit: AuditResult | None = None
    audits_waiting: Count = 0
    """Random checks of accepted records without an answer."""

    @property
    def settled(self) -> int:
        """Records about which nobody is asked any more."""
        return self.confirmed + self.changed + self.entered + self.unusable

    @property
    def open(self) -> int:
        """Records whose answer is missing or not final; for those that annotators are unsure about, no question is."""
        return self.unsure + self.disputed + self.skipped + self.invalid + self.again + self.waiting

    @property
    def routed(self) -> int:
        """Records chosen for review."""
        return self.settled + self.open


class PartComparison(ReportPart):
    """The adapter and its strongest rival on one label or one field."""

    name: str
    records: Count
    rival: Share
    tuned: Share


class FieldAnswer(ReportPart):
    """One field of a test row: the gold value, and both answers'; empty if there is none."""

    name: str
    expected: str
    rival: str | None = None
    tuned: str | None = None
    """None if the answer is unreadable."""


class Mistake(ReportPart):
    """A test row that the adapter gets wrong; the answers are complete and unmodified."""

    record: ShownRecord
    expected: str
    rival: str
    """Empty if the rival was not asked."""
    tuned: str
    fields: list[FieldAnswer] = []
    """The same field by field, if an answer has fields."""


class Rival(ReportPart):
    """The best of what is not tuned."""

    title: str
    score: Estimate


class FineTuning(ReportPart):
    """A fine-tuned adapter, what else could have been done, and a verdict with its reasons, in sentences."""

    run: str
    version: str = ""
    """``name@version`` that it was trained on."""
    base_model: str
    metric: str
    tuned: Estimate
    """Of the arm that the page speaks of."""
    rival: Rival | None = None
    """The best of the other arms: what the adapter has to be compared with."""
    train_rows: Count
    test_rows: Count
    seconds: Annotated[float, Field(ge=0)]
    """Of training."""
    verdict: VerdictContent
    """Whether it was worth it, with the plots and tables of all arms."""
    part_metric: PartMetric = PartMetric.RECALL
    parts: list[PartComparison] = []
    mistakes: list[Mistake] = []
    loss: dict[Count, float] = {}
    """Training loss by step."""


class Suspect(ReportPart):
    """An accepted record whose answer is in doubt."""

    record: ShownRecord
    """With its answer, or the turn that is doubted."""
    found: list[str] = []
    """What a rule found, or that the answer of a near-duplicate was corrected, a sentence each."""
    suggestion: str = ""
    """What a model would answer; empty if it would not answer differently."""
    label_error_score: Share | None = None
    """That the model is right, and the record wrong."""
    asked: str = ""
    """Whether annotators are asked about it, and if not, why."""


class ReportData(ReportPart):
    """Everything on the page; empty parts are shown as a line that says how to fill them.

    Lists may be longer than what is shown: the page takes the first few and says so.
    In plain texts (``next_steps``, ``verdict``) text in backticks is rendered as code.
    """

    dataset: str
    config: str = "dataset.yaml"
    """As used in the page's commands."""
    task: str
    kind: str
    breakdown: Breakdown
    """Whether ``labels`` or ``fields`` are shown."""
    limits: str = ""
    """What is not done yet for the kind of task; empty if everything is."""
    instruction: str
    generated_at: AwareDatetime
    of_version: bool = False
    """The page is part of a version: other records are withheld, and nothing reveals this machine."""
    funnel: Funnel
    change: Changed | None = None
    """What became of the rows that the last curate was the first to see; None if it is not known or not told."""
    published: Published | None = None
    splits: list[str] = []
    """All of them, in the order of the configuration."""
    absent: str = ""
    """The labels missing from some split, and why."""
    next_steps: list[str] = []
    reasons: list[ReasonCount] = []
    labels: list[ValueCount] = []
    fields: list[FieldFill] = []
    tokens: TokenLengths | None = None
    similarities: Similarities | None = None
    duplicates: list[DuplicatePair] = []
    misses: list[NearMiss] = []
    conflicts: list[Conflict] = []
    any_of: bool = False
    """Whether every answer to an input is right."""
    review: ReviewCounts = ReviewCounts()
    team: AnnotatorsTable | None = None
    """None if nobody has answered; the page of a version has nothing about single people."""
    outlook: ErrorOutlook | None = None
    """What the next answers would find; None while annotators have answered few."""
    proof: Proof | None = None
    """How far `review.error_rate` is proven, if it is set."""
    suggestions: SuggestionScore | None = None
    """How good a model's suggestions are; None if none was ever asked."""
    finetuning: FineTuning | None = None
    """The newest on the newest version; None if there was none, or its adapter is gone."""
    adapter_gone: str = ""
    """That it is; empty if it is there, or never was."""
    rounds: list[Judged] = []
    """The newest fine-tuning of every version that has one, by version."""
    suspects: list[Suspect] = []
    below_floor: Count = 0
    """Accepted records with something against their label that is less likely than ``review.floor``."""

    @property
    def has_values(self) -> bool:
        """Whether there can be values to count: those of conversations are not."""
        return self.breakdown is Breakdown.LABEL or bool(self.fields)

    @property
    def settled_conflicts(self) -> int:
        """Records that were chosen for annotators because they were in conflict, and are settled."""
        return sum(route.settled for route in self.review.routes if route.route is Routed.CONFLICT)

    @property
    def threshold(self) -> float:
        """Of similarity; 0 if nothing was compared."""
        return self.similarities.threshold if self.similarities else 0.0


def render_report(data: ReportData) -> str:
    """Render the page: one HTML text that loads nothing, whatever the records' texts contain."""
    return page_environment().get_template("report.html.j2").render(data=data).lstrip()
