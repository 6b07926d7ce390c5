"""What duplicates look like, so that a person can trust or doubt the threshold: groups, similarities, near misses."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import BaseModel, ConfigDict

from pipeline.curation.similar_texts import Alike
from pipeline.ingest.row_places import current_places
from pipeline.similarity.pairs import Pairs, verify
from pipeline.similarity.signatures import NEAR_MISS
from pipeline.similarity.text_columns import Texts
from pipeline.state.decisions import from_frame
from pipeline.state.store import Snapshot
from pipeline.state.tables import Verb
from pipeline.text.answer_keys import Answers
from pipeline.text.guards import same_signs
from pipeline.text.normalize import input_texts, inputs_key, match_key, shown_inputs
from pipeline.text.words import jaccard
from schemas.fate import Fate, ReasonCode
from schemas.field import JsonValue
from schemas.record import Decision
from schemas.task import Role, Task

BIN = 0.02
"""Width of the bins of similarities."""
_NEAREST = 50
"""Pairs of kept records that are remembered, those above the threshold and those below it."""
_NEAREST_TO_ONE = 5
"""Kept records that are shown beside one, the most similar ones."""
_KEPT = (Fate.ACCEPTED, Fate.REVIEW)


class NearPair(BaseModel):
    """Two records whose similarity is near the threshold."""

    model_config = ConfigDict(frozen=True)

    one: str
    other: str
    similarity: float


class Similarities(BaseModel):
    """How similar the records are, of those that are similar at all."""

    model_config = ConfigDict(frozen=True)

    threshold: float
    start: float
    """Where the first bin begins, below the threshold: there only some of the pairs are found."""
    counts: list[int]
    """Pairs by similarity, in bins of ``BIN``; the last one holds 1."""
    near: list[NearPair]
    """Pairs of kept records that just miss the threshold, and the most similar ones that do not; the least similar
    first. Of each template one comes before a second of any."""
    below: int = 0
    """How many pairs of kept records miss the threshold by ``NEAR_MISS`` at most, as far as they were found."""
    above: int = 0
    """How many do not."""

    @property
    def bins(self) -> list[tuple[float, int]]:
        """Where each bin begins, and its pairs."""
        return [(round(self.start + number * BIN, 4), count) for number, count in enumerate(self.counts)]


def similarities(alike: Alike, decisions: pl.DataFrame, threshold: float) -> Similarities:
    """Count the similar pairs among the records, whose decisions come in the order of ``alike.texts``.

    Of records with equal words only one counts.
    """
    record_ids, kept = decisions["record_id"], decisions["fate"].is_in([fate.value for fate in _KEPT]).to_numpy()
    views = [(alike.inputs.pairs, alike.texts)]
    if alike.whole is not None:
        views.append((alike.whole.pairs, alike.written))
    found = pl.concat([_rows_of(pairs, texts, kept) for pairs, texts in views])
    best = _most_similar(found)
    start = round(max(threshold - NEAR_MISS, 0), 4)
    bins = int(np.floor((1 - start) / BIN + 1e-9)) + 1
    places = ((best["similarity"].to_numpy() - start) / BIN + 1e-9).astype(np.int64).clip(0, bins - 1)
    both = best.filter(kept[best["one"].to_numpy()] & kept[best["other"].to_numpy()])
    both = _most_similar(pl.concat([both, _of_equal_words(alike.texts, kept)]))
    both = both.with_columns(crowd=_crowds(both, decisions.height))
    # From the most similar on: those just below the threshold, and likes with other answers.
    both = both.reverse()
    below, above = both.filter(pl.col("similarity") < threshold), both.filter(pl.col("similarity") >= threshold)
    near = pl.concat([_telling(above), _telling(below)]).reverse()
    return Similarities(
        threshold=threshold,
        start=start,
        counts=np.bincount(places, minlength=bins).tolist(),
        near=[
            NearPair(one=record_ids[one], other=record_ids[other], similarity=similarity)
            for one, other, similarity in near.iter_rows()
        ],
        below=below.height,
        above=above.height,
    )


def _most_similar(pairs: pl.DataFrame) -> pl.DataFrame:
    """Each pair once, the least similar first: two records may be similar by their inputs and as a whole."""
    return pairs.group_by("one", "other").agg(pl.col("similarity").max()).sort("similarity", "one", "other")


def _of_equal_words(texts: Sequence[int], kept: npt.NDArray[np.bool_]) -> pl.DataFrame:
    """Kept rows of equal words, whose answers or signs differ: the first of each text with the others."""
    rows = pl.DataFrame({"other": np.arange(len(texts)), "text": np.array(texts, dtype=np.int64), "kept": kept})
    same = rows.filter(pl.col("kept"), pl.col("text") >= 0).with_columns(one=pl.col("other").first().over("text"))
    pairs = same.filter(pl.col("one") != pl.col("other")).with_columns(similarity=pl.lit(1.0))
    return pairs.select("one", "other", "similarity")


def _crowds(pairs: pl.DataFrame, rows: int) -> pl.Series:
    """For each pair the rows that are connected by pairs: those of one template, say."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ones = np.ones(pairs.height, dtype=np.bool_)
    _, crowds = connected_components(coo_array((ones, (pairs["one"], pairs["other"])), shape=(rows, rows)), False)
    return pl.Series(crowds)[pairs["one"]]


def _telling(pairs: pl.DataFrame) -> pl.DataFrame:
    """Of pairs, the most telling first, those to remember; one of every crowd before a second of any."""
    order = pl.int_range(pl.len())
    chosen = pairs.with_columns(order=order, turn=order.over("crowd")).sort("turn", "order").head(_NEAREST)
    return chosen.sort("order").select("one", "other", "similarity")


def _rows_of(pairs: Pairs, texts: Sequence[int], kept: npt.NDArray[np.bool_]) -> pl.DataFrame:
    """The pairs of texts as pairs of rows that have them: of each the first that is kept, else the first."""
    schema = {"one": pl.Int64, "other": pl.Int64, "similarity": pl.Float64}
    numbers = np.array(texts, dtype=np.int64)
    rows = np.full(max(int(numbers.max(initial=-1)), int(pairs.right.max(initial=-1))) + 1, -1, dtype=np.int64)
    worded = np.flatnonzero(numbers >= 0)[::-1]
    rows[numbers[worded]] = worded
    still = worded[kept[worded]]
    rows[numbers[still]] = still
    left, right = rows[pairs.left], rows[pairs.right]
    # Texts of evaluation rows and of earlier versions are no records.
    present = (left >= 0) & (right >= 0)
    one, other = np.minimum(left, right)[present], np.maximum(left, right)[present]
    return pl.DataFrame({"one": one, "other": other, "similarity": pairs.similarity[present]}, schema=schema)


def last_similarities(snapshot: Snapshot) -> Similarities | None:
    """What the latest committed curate run counted; None before the first one."""
    last = snapshot.last_run(Verb.CURATE)
    counted = last["summary"].get("similarities") if last else None
    return Similarities.model_validate(counted) if counted else None


# --- groups ---------------------------------------------------------------------------------------
class Row(BaseModel):
    """A record of a group, or of a pair."""

    model_config = ConfigDict(frozen=True)

    record_id: str
    file: str
    line: int
    text: str
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
    """The kept record waits for people, so none of the group is published before they answer."""
    copies: list[Copy]


class Miss(BaseModel):
    """Two records that are both kept, as far as duplicates are concerned, and nearly were not; or one that is asked
    about, and a kept one.
    """

    model_config = ConfigDict(frozen=True)

    one: Row
    other: Row
    similarity: float
    reason: str
    """Why neither is a duplicate of the other; empty where one is kept out for another reason."""


class Duplicates(BaseModel):
    """All groups, and the pairs that are nearest to the threshold."""

    model_config = ConfigDict(frozen=True)

    threshold: float
    exact: int
    near: int
    asked: Row | None = None
    """The one record that is asked about, if one is."""
    fate: str = ""
    """What became of it, and why; empty where it is no current record."""
    groups: list[Group]
    """Those with the least similar copies first: they are the ones to doubt."""
    misses: list[Miss]
    """The most similar first."""
    below: int
    """How many pairs of kept records just miss the threshold; the misses hold the first of them."""
    above: int
    """How many reach it, and are no duplicates for another reason."""


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

    def _answer(self, targets: dict[str, JsonValue]) -> str:
        try:
            return self._task.task_answer(targets)
        except Exception:  # of the user's own code, for a row that nobody needs
            return json.dumps(targets, ensure_ascii=False)

    def _values(self, decision: Decision) -> dict[str, object]:
        file, line = self._places[decision.record_id]
        return {
            "record_id": decision.record_id,
            "file": file,
            "line": line,
            "text": shown_inputs(self._task, decision.inputs),
            "answer": self._answer(decision.targets) if decision.targets is not None else "",
        }


def read_duplicates(snapshot: Snapshot, task: type[Task], record_id: str | None = None) -> Duplicates:
    """The groups and near misses of the committed state; of one record its group, and what else resembles it most."""
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
            # The one that is asked about comes first.
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
    """The kept records that resemble one most, by their inputs or together with what is written as the answer."""
    answers = Answers(task)
    rows = [asked, *(one for one in kept if one.record_id not in (asked.record_id, asked.duplicate_of))]
    texts = ["\n".join(input_texts(task, one.inputs)) for one in rows]
    written = [answers.written(one.targets) for one in rows]
    similar = _similar_to_first(Texts.of(texts))
    if written[0]:
        similar = np.maximum(similar, _similar_to_first(Texts.of(texts, written)))
    # Of the equally similar ones those with another answer first.
    agree = np.array([one.targets == asked.targets for one in rows[1:]], dtype=np.bool_)
    for place in np.lexsort((agree, -similar))[:_NEAREST_TO_ONE].tolist():
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
        return "both are published as they are"
    answers = Answers(task)
    differ = (
        one.targets is not None and other.targets is not None and answers.key(one.targets) != answers.key(other.targets)
    )
    if similarity < threshold:
        return "below the threshold" + ("; and their answers differ" if differ else "")
    if one.targets is None or other.targets is None:
        return "without answers, nobody knows whether they are the same"
    if any(reason.code is ReasonCode.CONFLICT for decision in (one, other) for reason in decision.reasons):
        return "in conflict with others: people need all answers"
    if differ:
        return "their answers differ"
    if not same_signs(inputs_key(task, one.inputs), inputs_key(task, other.inputs)):
        return "their signs differ, of mathematics, currencies or faces"
    if unlike := list(_unlike(one, other, threshold, task)):
        return f"alike together, but not in {' and '.join(map(repr, unlike))}"
    return "kept apart by others that they resemble"


def _unlike(one: Decision, other: Decision, threshold: float, task: type[Task]) -> Iterator[str]:
    """Of several inputs, those that are not similar by themselves."""
    names = task.task_names(Role.INPUT)
    texts = zip(input_texts(task, one.inputs), input_texts(task, other.inputs), strict=True)
    for name, (before, after) in zip(names, texts, strict=True):
        if len(names) > 1 and match_key(before) != match_key(after) and jaccard(before, after) < threshold:
            yield name
