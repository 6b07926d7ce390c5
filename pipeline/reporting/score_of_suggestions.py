"""How good a model's suggestions are, and how readily annotators accept what is filled in for them.

A model is judged by answers that do not follow from its own: those to gold items, and those that annotators gave
without seeing it, in the audit. How often each annotator
leaves a proposal as it is stands beside it: more often than the model is right means that proposals are not checked.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import orjson
import polars as pl
from pydantic import BaseModel

from pipeline.config.dataset_file import LoadedDataset
from pipeline.config.workspace import Workspace
from pipeline.evaluation.estimates import Estimate, wilson
from pipeline.kinds.registry import kind_of
from pipeline.review.consensus import Said, deciding, said_about
from pipeline.review.opinions import Opinion, latest_votes, read_opinions
from pipeline.state.decisions import from_frame
from pipeline.state.snapshot import Snapshot
from pipeline.suggestions.asker import Asker
from pipeline.suggestions.examples_shown import shown_before
from pipeline.suggestions.ledger import Ledger, spent_so_far
from pipeline.text.wording import counted
from schemas.annotation import Verdict
from schemas.decision import Decision
from schemas.fate import Fate, LabelSource, Routed
from schemas.field import JsonValue
from schemas.task import Task

_ALIKE = 0.0005
"""Shares that are shown as the same."""


class Acceptance(BaseModel, frozen=True):
    """How often one annotator left the model's answer as it was filled in; rows' own are in ``AnnotatorLine``."""

    annotator: str
    """By e-mail address, or ``user 3`` where the server does not know it."""
    suggested: int
    """Answers to unlabeled rows that began with the model's."""
    suggested_unchanged: int

    @property
    def share(self) -> Estimate:
        """Of the model's proposals, those that were left unchanged."""
        return wilson(self.suggested_unchanged, self.suggested)


class SuggestionScore(BaseModel, frozen=True):
    """What is known about a model's suggestions."""

    model: str
    answers: int
    """Current records that it has answered validly."""
    invalid: int = 0
    """Current records that it has answered, and never validly; they are not asked about again unless that is wanted."""
    blind: int
    """Of these, records whose answer is known without it: gold items, and those that annotators answered without
    seeing what it says."""
    gold: int = 0
    """Of these, gold items; none of an adapter, which may have learned them."""
    right: int
    """Of the blind ones, where it gave the same answer."""
    accuracy: Estimate | None
    """Of all rows like these: each counts for as many as it was drawn from; None without any."""
    acceptance: list[Acceptance]
    """By annotator."""
    calls: int
    lost: int
    """Calls whose answer never came; they count with the most that they can have used."""
    tokens: int
    cost: float
    """Of all calls, at the prices of the dataset.yaml."""

    def accepts_too_many(self, one: Acceptance) -> bool:
        """Whether somebody leaves more suggestions unchanged than are right."""
        return self.accuracy is not None and one.share.low > self.accuracy.high

    @property
    def lines(self) -> list[str]:
        """The same for a terminal and the report, a line each."""
        spent = f"{counted(self.calls, 'call')}, {counted(self.tokens, 'token')}"
        spent += f", cost {self.cost:.4g}" if self.cost else ""
        lost = f", {self.lost:,} of them without an answer" if self.lost else ""
        return [
            f"suggestions of {self.model}: {counted(self.answers, 'answer')}; {spent}{lost}",
            *self._never_valid,
            f"{self.judged}: {self.accuracy}{self._weighed}" if self.accuracy else self.judged,
            *map(self._accepted, self.acceptance),
        ]

    @property
    def judged(self) -> str:
        """By how many known answers it was judged, and whose they are; or why it is not."""
        if self.accuracy is None:
            return "not judged yet: of the rows that it has answered, none is a gold item or an answered audit question"
        by_annotators = self.blind - self.gold
        known = f"{by_annotators:,} that annotators gave blind" if by_annotators else ""
        known = " and ".join(filter(None, [f"{self.gold:,} of gold items", known]))
        among = f"known answers, {known}" if self.gold else "answers that annotators gave blind"
        return f"right in {self.right:,} of {self.blind:,} {among}"

    @property
    def _weighed(self) -> str:
        is_even = self.accuracy is None or abs(self.accuracy.value - self.right / self.blind) < _ALIKE
        return "" if is_even else " of all rows, as they were drawn"

    @property
    def _never_valid(self) -> list[str]:
        again = "only `goldleaf suggest --retry-invalid` asks again"
        return (
            [f"{counted(self.invalid, 'row')} without a valid answer (asked before): {again}"] if self.invalid else []
        )

    def _accepted(self, one: Acceptance) -> str:
        kept = f"{one.suggested_unchanged:,} of {one.suggested:,} suggestions unchanged"
        too_many = ", more than are right: look at some of these answers" if self.accepts_too_many(one) else ""
        return f"{one.annotator} left {kept}: {one.share}{too_many}"


def score_of_suggestions(workspace: Workspace, snapshot: Snapshot) -> SuggestionScore | None:
    """Judge the suggestions of a committed state; None if no model was ever asked."""
    dataset, spent = workspace.dataset, spent_so_far(workspace.store.calls)
    if not (spent.calls or dataset.config.suggest.is_on):
        return None
    said = said_about(snapshot, dataset.task)
    heard = {one.record_id: one for one in from_frame(snapshot.current_decisions(pl.col("heard")).collect())}
    blind = {name: answer for name in heard if (answer := _blind_answer(said.get(name, ()))) is not None}
    gold = _gold_answers(snapshot, dataset, (one for name, one in heard.items() if name not in said))
    pairs = [(heard[name], answer) for name, answer in (blind | gold).items()]
    right = [_is_right(dataset.task, decision, answer) for decision, answer in pairs]
    return SuggestionScore(
        model=_name(workspace),
        answers=len(heard),
        invalid=_without_valid_answer(workspace, snapshot),
        blind=len(pairs),
        gold=len(gold),
        right=sum(right),
        accuracy=weighed_share(right, [decision.audit_probability for decision, _ in pairs]),
        acceptance=acceptances(read_opinions(snapshot, dataset)),
        calls=spent.calls,
        lost=spent.lost,
        tokens=spent.tokens,
        cost=spent.cost,
    )


def weighed_share(right: Sequence[bool], chances: Sequence[float | None]) -> Estimate | None:
    """The share of right answers among all rows that some were drawn from; None without any.

    An audit asks more about likely errors, so each row counts as its inverse chance; one without a chance, such as a
    gold item, counts as the others on average. The interval is Wilson's of as many even answers as these are worth
    (L. Kish, "Survey Sampling", 1965).

    Args:
        right: whether each answer is.
        chances: of being drawn, from 0 to 1.
    """
    if not right:
        return None
    drawn = [1 / chance for chance in chances if chance]
    usual = sum(drawn) / len(drawn) if drawn else 1.0
    weights = [1 / chance if chance else usual for chance in chances]
    share = sum(weight for weight, one in zip(weights, right, strict=True) if one) / sum(weights)
    worth = sum(weights) ** 2 / sum(weight**2 for weight in weights)
    return wilson(share * worth, worth)


def _without_valid_answer(workspace: Workspace, snapshot: Snapshot) -> int:
    """How many rows the model of ``suggest`` has answered, as they are now, and never validly."""
    dataset, calls = workspace.dataset, workspace.store.calls
    config = dataset.config
    if not (config.suggest.is_on and calls.exists()):
        return 0
    # Imported here: it counts tokens, for which numba takes a second.
    from pipeline.suggestions.model_answers import ModelAnswers

    with ModelAnswers(Asker(config.suggest, dataset.task, gold=config.gold_sources), calls) as answers:
        unheard = (
            ~pl.col("heard")
            & pl.col("fate").is_in([Fate.ACCEPTED.value, Fate.REVIEW.value])
            & pl.col("record_id").is_in(list(answers.asked))
        )
        rows = snapshot.current_decisions(unheard).select("record_id", "inputs").collect().iter_rows()
        return sum(answers.is_invalid(record_id, orjson.loads(inputs)) for record_id, inputs in rows)


def _name(workspace: Workspace) -> str:
    """Whose suggestions they are; of an adapter the run that was asked last."""
    config, calls = workspace.dataset.config, workspace.store.calls
    asker = Asker(config.suggest, workspace.dataset.task)
    if config.suggest.adapter and calls.exists():
        with Ledger(calls) as ledger:
            asker = shown_before(asker, ledger)
    return asker.model or "a model that is no longer named"


def _gold_answers(
    snapshot: Snapshot, dataset: LoadedDataset, heard: Iterable[Decision]
) -> dict[str, Mapping[str, JsonValue]]:
    """The answers of gold items among some records; an adapter may have learned them."""
    sources = dataset.config.gold_sources
    if not sources or dataset.config.suggest.adapter:
        return {}
    gold = set(snapshot.records_of(sources).collect().to_series())
    return {
        one.record_id: one.targets
        for one in heard
        if one.record_id in gold
        and one.fate is Fate.ACCEPTED
        and one.label_source is LabelSource.HUMAN
        and one.targets is not None
    }


def _blind_answer(said: Iterable[Said]) -> Mapping[str, JsonValue] | None:
    """What annotators answered about a record without seeing what the model says."""
    answer = deciding(one for one in said if one.asked.routed is Routed.AUDIT)
    labeled = answer is not None and answer.against is None and answer.annotation.verdict is Verdict.LABELED
    return answer.annotation.targets or {} if answer and labeled else None


def _is_right(task: type[Task], decision: Decision, answer: Mapping[str, JsonValue]) -> bool:
    """Whether the model earns all that there is to earn against the right answer."""
    return kind_of(task).nearest(task, decision.model_answer, [dict(answer)])[1].worth == 1


def acceptances(opinions: Iterable[Opinion]) -> list[Acceptance]:
    """How often each annotator left the model's answer as it was filled in, of the latest answer to each question.

    Audits and adjudications, in which it is not filled in, count for nobody; *unusable* is no acceptance.
    """
    counts: defaultdict[str, Counter[bool]] = defaultdict(Counter)
    for one in latest_votes(opinions):
        if one.proposal and one.proposal.is_suggested:
            counts[one.annotator][one.is_unchanged] += 1
    by_name = sorted(counts.items(), key=lambda item: (len(item[0]), item[0]))
    return [Acceptance(annotator=name, suggested=c.total(), suggested_unchanged=c[True]) for name, c in by_name]
