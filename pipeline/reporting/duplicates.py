"""What duplicates look like, so that a user can judge the threshold: groups, similarities, near misses."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import orjson
import polars as pl
from pydantic import BaseModel

from pipeline.curation.similarity_histogram import last_similarities
from pipeline.ingest.row_places import current_places
from pipeline.reporting.shown_rows import setting_in_words
from pipeline.similarity.pairs import verify
from pipeline.similarity.spelling import may_mean_the_same
from pipeline.similarity.text_columns import Texts
from pipeline.state.decisions import from_frame, with_reason
from pipeline.state.snapshot import Snapshot
from pipeline.text.answer_keys import Answers
from pipeline.text.meaning_guards import same_signs
from pipeline.text.normalize import compared_text, inputs_key, key_fields, match_key, named_input_texts, shown_inputs
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
class Row(BaseModel, frozen=True):
    """A record of a group, or of a pair."""

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


class Group(BaseModel, frozen=True):
    """A kept record with all its duplicates, the least similar first."""

    kept: Row
    waits: bool
    """The kept record waits for annotators, so none of the group is published before they answer."""
    copies: list[Copy]


class Miss(BaseModel, frozen=True):
    """Two records that deduplication keeps, but only just; or one that was asked about, and a kept one."""

    one: Row
    other: Row
    similarity: float
    reason: str
    """Why neither is a duplicate of the other; empty if one is left out for another reason."""


class Duplicates(BaseModel, frozen=True):
    """All groups, and the pairs that are nearest to the threshold."""

    threshold: float
    exact: int
    near: int
    asked: Row | None = None
    """The single record that was asked about, if any."""
    fate: str = ""
    """What became of it, and why; empty if it is not a current record."""
    kept: int
    """How many rows are kept that have duplicates."""
    telling: int
    """Of these, those with duplicates that are not exact."""
    groups: list[Group]
    """Those with the least similar copies first: these are most likely wrong."""
    misses: list[Miss]
    """The most similar first."""
    below: int
    """How many pairs of kept records just miss the threshold; the misses hold the first of them."""
    above: int
    """How many reach it, but are not duplicates for another reason."""


class _Rows:
    """Reads decisions, and makes rows of them."""

    def __init__(self, snapshot: Snapshot, task: type[Task]) -> None:
        self._snapshot, self._task = snapshot, task
        self._known: dict[str, Decision] = {}
        self._places: dict[str, tuple[str, int]] = {}

    def read(self, record_ids: Iterable[str]) -> dict[str, Decision]:
        """The decisions that count for some records, by record, as far as these are current."""
        ids = dict.fromkeys(record_ids)
        if missing := [one for one in ids if one not in self._known]:
            is_one = pl.col("record_id").is_in(missing)
            decisions = from_frame(self._snapshot.current_decisions(is_one).collect())
            self._known.update((decision.record_id, decision) for decision in decisions)
            places = current_places(self._snapshot).filter(is_one).collect()
            self._places.update((record_id, (file, line)) for record_id, file, line in places.iter_rows())
        return {one: self._known[one] for one in ids if one in self._known}

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


def read_duplicates(
    snapshot: Snapshot, task: type[Task], record_id: str | None = None, most: int | None = None
) -> Duplicates:
    """The groups and near misses of the committed state; for one record its group, and what else is most similar.

    Args:
        snapshot: the committed state.
        task: the dataset's task.
        record_id: the record that is asked about.
        most: how many groups are shown; then exact copies are left out, if there are others. None for all.
    """
    rows = _Rows(snapshot, task)
    asked = rows.read([record_id]).get(record_id) if record_id else None
    copies = _copies(snapshot, asked, record_id)
    groups = copies.group_by("duplicate_of").agg(pl.col("similarity").min(), pl.col("exact").all())
    telling = groups.filter(~pl.col("exact"))
    shown = groups if most is None else (telling if telling.height else groups).sort(_FIRST).head(most)
    counted = last_similarities(snapshot)
    threshold = counted.threshold if counted else 1.0
    near: Iterable[NearPair] = counted.near if counted and record_id is None else []
    if asked:
        near = list(_nearest(snapshot, asked, task))
    exact = int(copies["exact"].sum())
    return Duplicates(
        threshold=threshold,
        asked=rows.row(asked) if asked else None,
        fate=f"{asked.fate}: {'; '.join(map(str, asked.reasons))}" if asked else "",
        exact=exact,
        near=copies.height - exact,
        kept=groups.height,
        telling=telling.height,
        groups=_in_order(
            _groups(copies.join(shown, on="duplicate_of", how="semi", maintain_order="left"), rows, record_id)
        ),
        misses=sorted(_misses(near, rows, task, threshold, record_id), key=lambda miss: -miss.similarity),
        below=counted.below if counted and record_id is None else 0,
        above=counted.above if counted and record_id is None else 0,
    )


_FIRST = ["similarity", "duplicate_of"]
_GROUPS_AT_ONCE = 10_000
"""Groups whose rows are in memory at once."""


def all_groups(snapshot: Snapshot, task: type[Task]) -> Iterator[Group]:
    """Every group, in the order of ``Duplicates.groups``; memory holds some thousand of them."""
    copies = _copies(snapshot, None, None)
    order = copies.group_by("duplicate_of").agg(pl.col("similarity").min()).sort(_FIRST)
    for part in order.iter_slices(_GROUPS_AT_ONCE):
        of_part = copies.join(part, on="duplicate_of", how="semi", maintain_order="left")
        yield from _in_order(_groups(of_part, _Rows(snapshot, task), None))


def _in_order(groups: Iterable[Group]) -> list[Group]:
    return sorted(groups, key=lambda group: (group.copies[0].similarity, group.kept.record_id))


def _copies(snapshot: Snapshot, asked: Decision | None, record_id: str | None) -> pl.DataFrame:
    """The outline of all duplicates, or of those in the groups of one record."""
    found = snapshot.outline.lazy().filter(fate=Fate.DUPLICATE.value)
    if record_id is not None:
        found = found.filter(pl.col("duplicate_of").is_in([record_id, *filter(None, [asked and asked.duplicate_of])]))
    exact = with_reason(ReasonCode.EXACT_DUPLICATE)
    return found.select("record_id", "duplicate_of", pl.col("similarity").fill_null(1.0), exact=exact).collect()


def _groups(copies: pl.DataFrame, rows: _Rows, record_id: str | None) -> Iterator[Group]:
    decisions = rows.read([*copies["record_id"], *copies["duplicate_of"].unique()])
    members: defaultdict[str, list[Copy]] = defaultdict(list)
    for name, kept in copies.select("record_id", "duplicate_of").iter_rows():
        members[kept].append(rows.copy(decisions[name]))
    for kept, found in members.items():
        yield Group(
            kept=rows.row(decisions[kept]),
            waits=decisions[kept].fate is Fate.REVIEW,
            # The one that was asked about comes first.
            copies=sorted(found, key=lambda copy: (copy.record_id != record_id, copy.similarity)),
        )


def _nearest(snapshot: Snapshot, asked: Decision, task: type[Task]) -> Iterator[NearPair]:
    """The kept records most similar to one, by their inputs or together with free-text answers."""
    others = ~pl.col("record_id").is_in([asked.record_id, asked.duplicate_of])
    is_kept = pl.col("fate").is_in([fate.value for fate in _KEPT])
    best: list[tuple[float, bool, str]] = []
    for rows in snapshot.in_batches(is_kept & others, "record_id", "inputs", "targets"):
        # Among equally similar ones, those with another answer first.
        best = sorted([*best, *_near(asked, rows, task)], key=lambda one: (-one[0], one[1]))[:_NEAREST]
    for similarity, _, other in best:
        yield NearPair(one=asked.record_id, other=other, similarity=similarity)


def _near(asked: Decision, rows: pl.DataFrame, task: type[Task]) -> Iterator[tuple[float, bool, str]]:
    """Of some rows those that are similar to one at all: how similar, whether their answers agree, and their record."""
    answers = Answers(task)
    inputs = [asked.inputs, *map(orjson.loads, rows["inputs"])]
    targets = [asked.targets, *(orjson.loads(one) if one is not None else None for one in rows["targets"])]
    texts = [compared_text(task, one) for one in inputs]
    free_text = [answers.free_text(one) for one in targets]
    similar = _similar_to_first(Texts.of(texts))
    if free_text[0]:
        similar = np.maximum(similar, _similar_to_first(Texts.of(texts, free_text)))
    for place in np.flatnonzero(similar > 0).tolist():
        agrees = same_targets(targets[place + 1], asked.targets)
        yield float(similar[place]), agrees, rows["record_id"][place]


def _similar_to_first(texts: Texts) -> npt.NDArray[np.float64]:
    others = np.arange(1, len(texts), dtype=np.int64)
    found: npt.NDArray[np.float64] = verify(texts, others, np.zeros_like(others)).similarity
    return found


def _misses(
    near: Iterable[NearPair], rows: _Rows, task: type[Task], threshold: float, asked: str | None
) -> Iterator[Miss]:
    pairs = list(near)
    decisions = rows.read(name for pair in pairs for name in (pair.one, pair.other))
    for pair in pairs:
        both = [decisions[name] for name in (pair.one, pair.other) if name in decisions]
        if len(both) == 2 and all(one.fate in _KEPT or one.record_id == asked for one in both):
            one, other = both
            reason = why_both(one, other, pair.similarity, threshold, task) if one.fate in _KEPT else ""
            yield Miss(one=rows.row(one), other=rows.row(other), similarity=pair.similarity, reason=reason)


def why_both(one: Decision, other: Decision, similarity: float, threshold: float, task: type[Task]) -> str:
    """Why neither of two similar records is a duplicate of the other."""
    if all(any(reason.code is ReasonCode.FROZEN for reason in decision.reasons) for decision in (one, other)):
        return "both are published as is"
    answers = Answers(task)
    targets = one.targets, other.targets
    differ = None not in targets and len(set(map(answers.key, targets))) > 1
    if similarity < threshold:
        return "below the threshold" + ("; and their answers differ" if differ else "")
    if None in targets:
        return "at least one has no answer, so they may differ"
    if any(reason.code is ReasonCode.CONFLICT for decision in (one, other) for reason in decision.reasons):
        return "in conflict: annotators choose among all the answers"
    if differ:
        return "their answers differ"
    keys = inputs_key(task, one.inputs), inputs_key(task, other.inputs)
    if not same_signs(*keys):
        return "their symbols differ (math, currencies or emoticons)"
    if unlike := list(_unlike(one, other, threshold, task)):
        return f"similar as a whole, but not in {' and '.join(map(repr, unlike))}"
    if not all(map(answers.free_text, targets)) and not all(map(may_mean_the_same, *map(key_fields, keys))):
        return "so short that a word may change the meaning"
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
