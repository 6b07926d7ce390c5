"""What duplicates look like, so that a user can judge the threshold: groups, similarities, near misses."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from pipeline.curation.similarity_histogram import last_similarities
from pipeline.ingest.row_places import current_places
from pipeline.reporting.shown_rows import setting_in_words
from pipeline.similarity.pairs import verify
from pipeline.similarity.text_columns import Texts
from pipeline.state.decisions import from_frame
from pipeline.state.snapshot import Snapshot
from pipeline.text.answer_keys import Answers
from pipeline.text.meaning_guards import same_signs
from pipeline.text.normalize import compared_text, inputs_key, match_key, named_input_texts, shown_inputs
from pipeline.text.words import jaccard
from schemas.answers_in_words import answer_in_words
from schemas.decision import Decision
from schemas.fate import Fate, ReasonCode
from schemas.field import same_targets
from schemas.similarities import NearPair
from schemas.task import Task

_KEPT = (Fate.ACCEPTED, Fate.REVIEW)
_NEAREST = 5
"""Kept records shown with each one, the most similar ones."""


# --- groups ---------------------------------------------------------------------------------------
class Row(BaseModel):
    """A record of a group, or of a pair."""

    model_config = ConfigDict(frozen=True)

    record_id: str
    file: str
    line: int
    text: str
    setting: str = ""
    """Of a conversation: its system prompt and its tools, which are not compared."""
    answer: str


class Copy(Row):
    """A record that was dropped."""

    exact: bool
    similarity: float


class Group(BaseModel):
    """A kept record with all its duplicates, the least similar first."""

    model_config = ConfigDict(frozen=True)

    kept: Row
    waits: bool
    """The kept record waits for annotators, so none of the group is published before they answer."""
    copies: list[Copy]


class Miss(BaseModel):
    """Two records that deduplication keeps, but only just; or one that was asked about, and a
    kept one.
    """

    model_config = ConfigDict(frozen=True)

    one: Row
    other: Row
    similarity: float
    reason: str
    """Why neither is a duplicate of the other; empty if one is left out for another reason."""


class Duplicates(BaseModel):
    """All groups, and the pairs that are nearest to the threshold."""

    model_config = ConfigDict(frozen=True)

    threshold: float
    exact: int
    near: int
    asked: Row | None = None
    """The single record that was asked about, if any."""
    fate: str = ""
    """What became of it, and why; empty if it is not a current record."""
    groups: list[Group]
    """Those with the least similar copies first: these are most likely wrong."""
    misses: list[Miss]
    """The most similar first."""
    below: int
    """How many pairs of kept records just miss the threshold; the misses hold the first of them."""
    above: int
    """How many reach it, but are not duplicates for another reason."""


class _Rows:
    """Makes rows of decisions."""

    def __init__(self, snapshot: Snapshot, task: type[Task]) -> None:
        self._task = task
        rows = current_places(snapshot).collect()
        self._places = {record_id: (file, line) for record_id, file, line in rows.iter_rows()}

    def row(self, decision: Decision) -> Row:
        return Row(**self._values(decision))

    def copy(self, decision: Decision) -> Copy:
        exact = any(reason.code is ReasonCode.EXACT_DUPLICATE for reason in decision.reasons)
        similarity = decision.similarity if decision.similarity is not None else 1.0
        return Copy(**self._values(decision), exact=exact, similarity=similarity)

    def _values(self, decision: Decision) -> dict[str, object]:
        file, line = self._places[decision.record_id]
        return {
            "record_id": decision.record_id,
            "file": file,
            "line": line,
            "text": shown_inputs(self._task, decision.inputs),
            "setting": setting_in_words(self._task, decision.inputs),
            "answer": answer_in_words(self._task, decision.targets) if decision.targets is not None else "",
        }


def read_duplicates(snapshot: Snapshot, task: type[Task], record_id: str | None = None) -> Duplicates:
    """The groups and near misses of the committed state; for one record its group, and what else is most similar."""
    decisions = {decision.record_id: decision for decision in from_frame(snapshot.current_decisions().collect())}
    rows = _Rows(snapshot, task)
    members: defaultdict[str, list[Copy]] = defaultdict(list)
    for decision in decisions.values():
        if decision.fate is Fate.DUPLICATE:
            members[decision.duplicate_of].append(rows.copy(decision))
    groups = [
        Group(
            kept=rows.row(decisions[kept]),
            waits=decisions[kept].fate is Fate.REVIEW,
            # The one that was asked about comes first.
            copies=sorted(copies, key=lambda copy: (copy.record_id != record_id, copy.similarity)),
        )
        for kept, copies in members.items()
        if record_id is None or record_id in (kept, *(copy.record_id for copy in copies))
    ]
    counted = last_similarities(snapshot)
    threshold = counted.threshold if counted else 1.0
    asked = decisions.get(record_id) if record_id else None
    near: Iterable[NearPair] = counted.near if counted and record_id is None else []
    if asked:
        near = _nearest(asked, [one for one in decisions.values() if one.fate in _KEPT], task)
    copies = [copy for group in groups for copy in group.copies]
    return Duplicates(
        threshold=threshold,
        asked=rows.row(asked) if asked else None,
        fate=f"{asked.fate}: {'; '.join(map(str, asked.reasons))}" if asked else "",
        exact=sum(copy.exact for copy in copies),
        near=sum(not copy.exact for copy in copies),
        groups=sorted(groups, key=lambda group: (group.copies[0].similarity, group.kept.record_id)),
        misses=sorted(
            _misses(near, decisions, _Pairing(rows, task, threshold), record_id), key=lambda miss: -miss.similarity
        ),
        below=counted.below if counted and record_id is None else 0,
        above=counted.above if counted and record_id is None else 0,
    )


def _nearest(asked: Decision, kept: Sequence[Decision], task: type[Task]) -> Iterator[NearPair]:
    """The kept records most similar to one, by their inputs or together with free-text answers."""
    answers = Answers(task)
    rows = [asked, *(one for one in kept if one.record_id not in (asked.record_id, asked.duplicate_of))]
    texts = [compared_text(task, one.inputs) for one in rows]
    free_text = [answers.free_text(one.targets) for one in rows]
    similar = _similar_to_first(Texts.of(texts))
    if free_text[0]:
        similar = np.maximum(similar, _similar_to_first(Texts.of(texts, free_text)))
    # Among equally similar ones, those with another answer first.
    agree = np.array([same_targets(one.targets, asked.targets) for one in rows[1:]], dtype=np.bool_)
    for place in np.lexsort((agree, -similar))[:_NEAREST].tolist():
        if similar[place] > 0:
            other = rows[place + 1].record_id
            yield NearPair(one=asked.record_id, other=other, similarity=float(similar[place]))


def _similar_to_first(texts: Texts) -> npt.NDArray[np.float64]:
    others = np.arange(1, len(texts), dtype=np.int64)
    found: npt.NDArray[np.float64] = verify(texts, others, np.zeros_like(others)).similarity
    return found


@dataclass(frozen=True)
class _Pairing:
    """What is needed to say why two records are both kept."""

    rows: _Rows
    task: type[Task]
    threshold: float


def _misses(
    near: Iterable[NearPair], decisions: Mapping[str, Decision], pairing: _Pairing, asked: str | None
) -> Iterator[Miss]:
    for pair in near:
        both = [decisions[name] for name in (pair.one, pair.other) if name in decisions]
        if len(both) == 2 and all(one.fate in _KEPT or one.record_id == asked for one in both):
            one, other = both
            settled = one.fate not in _KEPT
            reason = "" if settled else why_both(one, other, pair.similarity, pairing.threshold, pairing.task)
            yield Miss(
                one=pairing.rows.row(one), other=pairing.rows.row(other), similarity=pair.similarity, reason=reason
            )


def why_both(one: Decision, other: Decision, similarity: float, threshold: float, task: type[Task]) -> str:
    """Why neither of two similar records is a duplicate of the other."""
    if all(any(reason.code is ReasonCode.FROZEN for reason in decision.reasons) for decision in (one, other)):
        return "both are published as is"
    answers = Answers(task)
    differ = (
        one.targets is not None and other.targets is not None and answers.key(one.targets) != answers.key(other.targets)
    )
    if similarity < threshold:
        return "below the threshold" + ("; and their answers differ" if differ else "")
    if one.targets is None or other.targets is None:
        return "at least one has no answer, so they may differ"
    if any(reason.code is ReasonCode.CONFLICT for decision in (one, other) for reason in decision.reasons):
        return "in conflict: annotators choose among all the answers"
    if differ:
        return "their answers differ"
    if not same_signs(inputs_key(task, one.inputs), inputs_key(task, other.inputs)):
        return "their symbols differ (math, currencies or emoticons)"
    if unlike := list(_unlike(one, other, threshold, task)):
        return f"similar as a whole, but not in {' and '.join(map(repr, unlike))}"
    return "kept apart by other similar rows"


def _unlike(one: Decision, other: Decision, threshold: float, task: type[Task]) -> Iterator[str]:
    """Of several inputs, those that are not similar by themselves."""
    ones, others = (list(named_input_texts(task, decision.inputs)) for decision in (one, other))
    if len(ones) != len(others):
        yield "the number of turns"
        return
    for (name, before), (_, after) in zip(ones, others, strict=True):
        if len(ones) > 1 and match_key(before) != match_key(after) and jaccard(before, after) < threshold:
            yield name
