"""What committed runs leave behind: one summary per verb, read by later runs and reports."""

from enum import StrEnum
from typing import Any, ClassVar

from pydantic import BaseModel

from schemas.fate import ReasonCode
from schemas.similarities import Similarities


class Verb(StrEnum):
    """What a run does."""

    CURATE = "curate"
    COLLECT = "collect"
    RELEASE = "release"
    FINETUNE = "finetune"
    COMPACT = "compact"
    """It commits no run."""


class RunSummary(BaseModel, frozen=True):
    """A run's own summary; fields that an older Goldleaf did not write have their defaults."""

    verb: ClassVar[Verb]


class BudgetUse(BaseModel, frozen=True):
    """How much of the review budget is used, and what becomes of the rows that it does not reach."""

    budget: int = 0
    """Records that may be routed as uncertain, in conflict or to be repaired, over all runs, but for personal data."""
    budget_used: int = 0
    personal_used: int = 0
    """The same of the budget for personal data."""
    beyond_budget: int = 0
    """How many more rows would be sent to annotators if both budgets were larger."""
    beyond_personal: int = 0
    """Of these, rows that wait for personal data only: one for each number or address."""
    beyond_accepted: int = 0
    """Of these, suspect rows that are accepted, by `review.unreviewed`."""
    beyond_by_reason: dict[ReasonCode, int] = {}
    """All of them by what annotators would be asked, the most frequent first."""

    @property
    def of_budget(self) -> dict[str, Any]:
        """These fields of whatever has them."""
        return {name: getattr(self, name) for name in BudgetUse.model_fields}

    def beyond(self, *, is_fixed: bool) -> str:
        """What is beyond the budgets, and how to ask about it; empty if nothing is.

        Args:
            is_fixed: the budget is that of `review.error_rate`.
        """
        if not self.beyond_by_reason:
            # Nothing is, or an earlier Goldleaf has not recorded what becomes of it.
            return ""
        which = ", ".join(
            f"{number:,} {code}" for code, number in sorted(self.beyond_by_reason.items(), key=lambda one: -one[1])
        )
        how, count = [], self.beyond_budget
        if more := count - self.beyond_personal:
            how = [f"set review.budget to {self.budget_used + more:,}"]
            if is_fixed:
                how = ["only a review.budget in place of review.error_rate asks about more"]
        if self.beyond_personal:
            how.append(f"set review.personal_budget to {self.personal_used + self.beyond_personal:,}")
        used = f"{self.budget_used:,} of {self.budget:,} used; " if more else ""
        goal = "" if is_fixed and more else " to ask about all of them"
        said = f"{count:,} more {'row is' if count == 1 else 'rows are'} beyond the review budget"
        fates = {"accepted": self.beyond_accepted, "left out": count - self.beyond_accepted}
        now = ", ".join(f"{number:,} {fate}" for fate, number in fates.items() if number)
        return f"{said}: {which} ({used}{' and '.join(how)}{goal}); until then {now}"


class Proof(BaseModel, frozen=True):
    """How far it is proven that the accepted rows' error is below ``review.error_rate``."""

    target: float
    looks: int
    """How often the answers were compared with it; each makes the next one stricter."""
    answers: int
    """The answers at the last of these."""
    unheard: int = 0
    """Rows that annotators skipped or the server refused, so that they counted as wrong."""
    early: list[str] = []
    """Drawn rows that were open at the last look and counted as wrong: it was taken before they were settled."""
    tried: int = 0
    """The drawn rows of a look before all were settled that proved nothing, so that it was not counted; 0 if none."""
    found: int = 0
    """The errors that were found without being drawn by the last look."""
    digest: str = ""
    """Of the answers that the last look was about, those about `early` left out: if they change, it says nothing."""
    total: int = 0
    """The accepted rows at the last look; 0 in runs that did not record it."""
    bound: float | None = None
    """The error was below this at the last look, with what is left of 95% confidence; None before the first one."""
    unseen: float = 0.0
    """The share of accepted rows that are likely wrong and that the look says nothing about: it counts in addition."""
    proven: bool = False
    open: int = 0
    """Rows of the present batch that annotators have not settled."""
    again: int = 0
    """Of these, rows with an answer that waits for a second look or an adjudicator."""
    least: int = 0
    most: int = 0
    """How many more answers it takes after this batch: between these, four of five times."""
    later: int = 0
    """Likely errors that come in a later batch."""

    @property
    def more(self) -> int:
        """About how many more answers it takes; 0 if it is proven."""
        return 0 if self.proven else self.open + self.later + (self.least + self.most + 1) // 2

    def __str__(self) -> str:
        """The state in words."""
        lost = f"; rows that were skipped or refused count as wrong: {self.unheard:,}" if self.unheard else ""
        lost += f"; rows that were open then count as wrong: {len(self.early):,}" if self.early else ""
        if self.proven:
            return f"proven: fewer than {self.target:.1%} of the accepted rows are wrong (95% confidence){lost}"
        known = ""
        if self.bound is not None:
            below, look = self.bound + self.unseen, f"the last look, of {self.answers:,} answers"
            changed = f"; {look}, proved it, but rows or answers have changed since"
            why = "more cautious than the audit's interval, since it has to hold at every look"
            known = f"; at {look}, it was known to be below {min(1.0, below):.1%}, {why}"
            known = changed if below < self.target else known
        return f"an error below {self.target:.1%} is not proven yet: it takes {self.missing}{known}{lost}"

    @property
    def missing(self) -> str:
        """What the proof takes, in words."""
        after = f"about {self.least:,} to {self.most:,}" if self.least else f"up to {self.most:,}"
        is_learned = self.bound is not None
        if not self.open:
            batch = "another curate" + (f", and then {after} answers" if is_learned and self.most else "")
        elif not is_learned:
            batch = f"answers to the first batch, {self._rows}, which will show how many more"
        elif self.most:
            batch = f"answers about {self._rows}, and then {after} more"
        else:
            batch = f"answers about {self._rows}, and likely no more"
        if not self.later:
            return batch
        return f"{batch}; besides, {self.later:,} likely {'error comes' if self.later == 1 else 'errors come'} later"

    @property
    def _rows(self) -> str:
        """The open rows in words; other open questions have nothing to do with the proof."""
        again = " for a second look or an adjudicator)"
        if self.open == 1:
            return "1 open row that was drawn or is a likely error" + (f" (it waits{again}" if self.again else "")
        rows = f"{self.open:,} open rows that were drawn or are likely errors"
        waiting = "all of them" if self.again == self.open else f"{self.again:,} of them"
        return f"{rows} ({waiting}{again}" if self.again else rows


class Looked(BaseModel, frozen=True):
    """What a curate looked at."""

    changed: int
    """Rows that are new, edited, or back."""
    withdrawn: int
    """Rows that are gone."""
    answered: int
    """Of the others, rows that answers came in about, were changed or taken back."""
    related: int
    """Rows that one of these may matter to, directly or through others. Nothing else has changed for them."""
    untouched: int
    """The rest of the current rows: they keep their decision without being looked at."""
    why: str = ""
    """Why everything was looked at; empty if it was not."""

    def __str__(self) -> str:
        if self.why:
            return f"looked at all {self.changed + self.related:,} rows: {self.why}"
        counts = {"changed": self.changed, "withdrawn": self.withdrawn, "answered": self.answered}
        told = [f"{count:,} {name}" for name, count in counts.items() if count] or ["nothing new"]
        return ", ".join([*told, f"{self.related:,} related", f"{self.untouched:,} untouched"])


class Changed(BaseModel, frozen=True):
    """What became of the rows that a curate was the first to see, and of others on account of them."""

    raw: int = 0
    """Rows that are new, edited, or back."""
    superseded: int = 0
    """Of these, rows that a later one of the same batch replaced."""
    withdrawn: int = 0
    """Rows that are gone; none of these is among the others."""
    accepted: int = 0
    rejected: int = 0
    duplicate: int = 0
    review: int = 0
    others: int = 0
    """Other rows that have another fate, reason or score."""
    other_fates: int = 0
    """Of these, those that have another fate."""

    @property
    def told_of_others(self) -> str:
        """In words; empty if there are none."""
        kinds = {"fate": self.other_fates, "reason or score": self.others - self.other_fates}
        told = [f"{count:,} with another {name}" for name, count in kinds.items() if count]
        return f"other rows: {', '.join(told)}" if told else ""

    @property
    def current(self) -> int:
        """The new rows that are there."""
        return self.raw - self.superseded


class CurateFacts(BudgetUse, RunSummary):
    """The configuration and counts of a curate, without the similarities: quick to read for many runs."""

    verb: ClassVar[Verb] = Verb.CURATE

    file: str
    """The dataset.yaml."""
    curation: str
    """Digest of everything in it, and in the task, that affects decisions."""
    evaluation: str = ""
    """What the rows of its evaluation sets are stored under; empty if it had none."""
    reads: bool = True
    """Whether it read the sources: a curate with which collect or release follows answers does not."""
    lines: int = 0
    """Rows read."""
    kind: str = ""
    """The task's kind; empty in runs that did not record it."""
    asked_as: list[str] = []
    """The digests under which this home asks what the task asked; empty in runs that did not record it."""
    asks_for: list[str] = []
    """What the task asked for (``asked_for``), and what annotators saw that is no input."""
    context: list[str] = []
    shape: str = ""
    """Digest of all that the task asks and allows, but the name of its class; empty in runs that did not record it."""
    off: list[str] | None = None
    """The rules about answers that were turned off; None in runs that did not record it."""
    scores: int = 1
    """The version of what label-error scores mean."""
    corrections: int = 0
    """How many labels annotators had corrected when all were last scored."""
    added: int = 0
    """Records without an earlier decision."""
    withdrawn: int = 0
    looked: Looked | None = None
    """What it looked at; None in runs that did not record it."""
    judge: str = ""
    """The run that trained what judges labels; empty if nothing that was learned does."""
    change: Changed | None = None
    """What became of what it was the first to see; None in runs that did not record it."""
    note: str = ""
    proof: Proof | None = None
    """Of `review.error_rate`, if it is set."""
    past_proof: Proof | None = None
    """The last one, if `review.error_rate` was taken out: looks count as long as the answers do."""
    heard: str = ""
    """The model whose new answers were all that it decided with; empty in a curate of its own."""
    adopted: list[str] = []
    """Versions of this dataset, published from another home, whose splits were adopted."""
    adopted_from: list[str] = []
    """The digests of the versions that `split.adopt` names: what they say about all records so far is known."""

    @property
    def last_proof(self) -> Proof | None:
        """The state of `review.error_rate` when it was last set."""
        return self.proof or self.past_proof


class CurateSummary(CurateFacts):
    """The complete summary."""

    similarities: Similarities | None = None


class Settled(BaseModel, frozen=True):
    """The older tasks of a project when a collect listed them: they can only become fewer, and a number shows it."""

    newest: int = 0
    """The highest id of them."""
    until: str = ""
    """All were created until this time of the server, as a filter takes it."""
    tasks: int = 0
    """How many of them Goldleaf created."""
    odd: int = 0
    """How many more annotations the server counted than a complete pull brought; 0, as far as we know."""


class CollectSummary(RunSummary):
    """What a collect pulled."""

    verb: ClassVar[Verb] = Verb.COLLECT

    watermarks: dict[str, str] = {}
    """By server: the time up to which all annotations were pulled."""
    settled: dict[str, Settled] = {}
    """The older tasks, by server: of those that were there, and no others."""
    annotations: int = 0
    """New, edited or deleted ones."""
    decided: int = 0
    """Records whose annotator decision changed."""
    is_gone: bool = False
    """The project that questions were sent to was not there."""
    unreliable: dict[str, str] = {}
    """What was told of annotators whose answers are worth a look, now or earlier, as long as these decide rows."""


class ReleaseSummary(RunSummary):
    """What a release published."""

    verb: ClassVar[Verb] = Verb.RELEASE

    version: str
    digest: str = ""


class FinetuneSummary(RunSummary):
    """What a fine-tuning trained."""

    verb: ClassVar[Verb] = Verb.FINETUNE

    version: str
    path: str
    """The adapter's folder."""
    tuned: float
    """The tuned model's score, of the arm that pages speak of."""
    tuned_title: str = "the adapter"
    """What that arm is called."""
    verdict: str = ""
    """Whether it was worth it; empty in runs that did not judge it."""
    train_rows: int = 0
    """0 in runs that did not record it; nor did they record what follows."""
    train_split: int = 0
    """The rows of the train split, of which these were drawn."""
    unit: str = "share"
    """Of the scores: ``share``, or ``nats`` of loss per token."""
    low: float | None = None
    high: float | None = None
    """The 95% interval of the score."""
    rival: float | None = None
    """The score of the best arm that needs no training."""
    rival_title: str = ""
    noise: float | None = None
    """The share of wrong answers, as audited at the time."""
