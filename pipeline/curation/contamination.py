"""Rejects rows that are similar to a row of an evaluation set: near-duplicates, and long shared n-grams."""

import itertools
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import partial
from operator import itemgetter
from pathlib import Path

import numpy as np
import polars as pl

from pipeline.curation.known import Known
from pipeline.curation.similar_texts import SimilarTexts
from pipeline.similarity.ngram_overlap import load_runs, runs_of, save_runs, shared
from pipeline.similarity.search import Map
from pipeline.similarity.signatures import INPUTS
from pipeline.similarity.text_columns import Rows, Texts
from pipeline.state.arrays import load, save
from pipeline.text.normalize import compared_text
from pipeline.text.screening import target_texts
from pipeline.text.wording import shown_similarity
from pipeline.text.words import words
from schemas.dataset import Dataset
from schemas.fate import Reason, ReasonCode
from schemas.task import Task

_SHOWN_CHARACTERS = 80
_SEARCHED_CHARACTERS = 200_000
"""Longer texts: only reported to share words, without showing them."""


@dataclass(frozen=True)
class Contaminated:
    """Which rows are similar to an evaluation row."""

    evaluation: pl.DataFrame
    """Rows of the ``evaluations`` table."""
    near: Mapping[int, tuple[float, int]] = field(default_factory=dict)
    """By text, the similarity with an evaluation row, and this row."""
    sharing: Mapping[int, int] = field(default_factory=dict)
    """By row, one of the evaluation rows' texts, with their answers behind them, that shares an n-gram with it."""

    def reject(
        self, records: Sequence[Known], rows: Rows, texts: Rows, config: Dataset, task: type[Task]
    ) -> list[Known]:
        """Records, with those rejected that are similar to an evaluation row.

        Args:
            records: in any order.
            rows: their numbers.
            texts: those of their inputs.
            config: the threshold, and how many consecutive shared words are too many.
            task: of the records.
        """
        found = list(records)
        if not (self.near or self.sharing):
            return found
        for place, text in enumerate(texts.tolist()):
            if text in self.near:
                similarity, row = self.near[text]
                shown = shown_similarity(similarity, config.duplicates.threshold)
                found[place] = _rejected(found[place], f"{shown} similar to", self.evaluation, row)
        overlap = config.decontaminate.overlap
        if overlap is None:
            return found
        others = [*self.evaluation["text"], *self.evaluation["answer"]]
        met = [(self.sharing[row], place) for place, row in enumerate(rows.tolist()) if row in self.sharing]
        # Records that match the same text are processed together: its words take a hundred times as much memory.
        for text, group in itertools.groupby(sorted(met), key=itemgetter(0)):
            places = [place for _, place in group]
            width, runs = _runs(others[text], overlap)
            for place in places:
                known = found[place]
                if not any(reason.code is ReasonCode.CONTAMINATED for reason in known.rejection_reasons):
                    common = _common_words(known, width, runs, task)
                    row = text % self.evaluation.height
                    found[place] = _rejected(known, f"{common} as in", self.evaluation, row)
        return found


def find_contaminated(
    similar: SimilarTexts, evaluation: pl.DataFrame, config: Dataset, folder: Path, each: Map
) -> Contaminated:
    """Find the rows that are similar to an evaluation row.

    Args:
        similar: the inputs of the evaluation rows were compared along with those of the rows.
        evaluation: rows of the ``evaluations`` table.
        config: the threshold, and how many consecutive shared words are too many.
        folder: for files.
        each: runs a step for every item.
    """
    if evaluation.is_empty() or not len(similar.rows):
        return Contaminated(evaluation)
    sharing: dict[int, int] = {}
    if config.decontaminate.overlap is not None:
        texts = [*evaluation["text"], *evaluation["answer"]]
        for row, text in _overlaps(similar, texts, config.decontaminate.overlap, folder, each):
            sharing.setdefault(row, text)
    return Contaminated(evaluation, _near(similar, config.duplicates.threshold), sharing)


def _rejected(known: Known, how: str, evaluation: pl.DataFrame, row: int) -> Known:
    if known.frozen and known.fixed_split != "train":
        # Nothing is trained on it.
        return known
    name, place = evaluation["name"][row], evaluation["place"][row]
    reason = Reason(code=ReasonCode.CONTAMINATED, detail=f"{how} {place} ({name})", refs=(name, place))
    return replace(known, rejection_reasons=(*known.rejection_reasons, reason))


def forget_known_answers(records: Sequence[Known], evaluation: pl.DataFrame, config: Dataset) -> list[Known]:
    """Records without corrected answers that share words with an evaluation row: as preference pairs they would be
    learned.

    Args:
        records: in any order.
        evaluation: rows of the ``evaluations`` table.
        config: how many consecutive shared words are too many.
    """
    found, width = list(records), config.decontaminate.overlap
    corrected = [place for place, known in enumerate(records) if known.answered.corrected is not None]
    if evaluation.is_empty() or width is None or not corrected:
        return found
    wrong = [records[place].answered.corrected or {} for place in corrected]
    answers = Texts.of(["\n".join(target_texts(answer).values()) for answer in wrong])
    known = shared(answers, runs_of(Texts.of([*evaluation["text"], *evaluation["answer"]]), width))
    for place, text in zip(corrected, known.tolist(), strict=True):
        if text >= 0:
            found[place] = replace(found[place], answered=replace(found[place].answered, corrected=None))
    return found


def _near(similar: SimilarTexts, threshold: float) -> dict[int, tuple[float, int]]:
    """By text: the similarity with the most similar evaluation row found, and this row.

    In a dense cluster of similar texts the search compares each with only a few others, so everything similar to a text
    that was found is compared with the same evaluation row.
    """
    rows = {text: row for row, text in reversed(list(enumerate(similar.evaluation))) if text >= 0}
    inputs = similar.found[INPUTS]
    pairs = inputs.pairs.where(inputs.pairs.similarity >= threshold)
    linked: defaultdict[int, list[int]] = defaultdict(list)
    found = {text: (1.0, row) for text, row in rows.items()}
    new: set[int] = set()
    for one, other, similarity in zip(
        pairs.left.tolist(), pairs.right.tolist(), pairs.similarity.tolist(), strict=True
    ):
        for text, near in ((one, other), (other, one)):
            linked[text].append(near)
            if near in rows and _is_closer(found, text, similarity, rows[near]):
                found[text] = similarity, rows[near]
                new.add(text)
    while asked := sorted({(near, text) for text in new for near in linked[text] if near not in found}):
        suspects = np.array([(near, similar.evaluation[found[text][1]]) for near, text in asked], dtype=np.int64)
        similarities = inputs.verify(*suspects.T).similarity.tolist()
        new = set()
        for (near, text), similarity in zip(asked, similarities, strict=True):
            if similarity >= threshold and _is_closer(found, near, similarity, found[text][1]):
                found[near] = similarity, found[text][1]
                new.add(near)
    return found


def _is_closer(found: Mapping[int, tuple[float, int]], text: int, similarity: float, row: int) -> bool:
    """Whether an evaluation row is more similar than the one found so far; among equals the first counts."""
    before, other = found.get(text, (0.0, 0))
    return (similarity, -row) > (before, -other)


def _overlaps(
    similar: SimilarTexts, texts: Sequence[str], width: int, folder: Path, each: Map
) -> Iterator[tuple[int, int]]:
    """The rows that share an n-gram with a text of the evaluation rows, and which text."""
    runs = save_runs(folder, runs_of(Texts.of(texts), width))
    found = each(partial(_shared_with, runs=runs), similar.shards, "looking for evaluation rows")
    numbers = iter(similar.rows.tolist())
    for path in found:
        # One of the texts for each text, or -1.
        yield from (
            (number, text) for text, number in zip(load(path, np.int64).tolist(), numbers, strict=False) if text >= 0
        )


def _shared_with(shard: Path, runs: Sequence[tuple[int, Path]]) -> Path:
    """Write which text of the evaluation rows shares an n-gram with each text of a shard."""
    sharing = shared(Texts.read(shard), load_runs(runs))
    path = shard.with_suffix(".shared")
    save(path, sharing)
    return path


def _runs(text: str, width: int) -> tuple[int, set[tuple[str, ...]]]:
    """The n-gram lengths that count, and all words of shorter evaluation rows."""
    others = words(text[:_SEARCHED_CHARACTERS])
    width = min(width, len(others))
    return width, {tuple(others[at : at + width]) for at in range(len(others) - width + 1)}


def _common_words(known: Known, width: int, runs: Set[tuple[str, ...]], task: type[Task]) -> str:
    """The first n-gram that a record shares with an evaluation row, as shown to people."""
    answers = [value for value in (known.targets or {}).values() if isinstance(value, str)]
    whole = "\n".join([compared_text(task, known.inputs), *answers])
    own = words(whole) if len(whole) <= _SEARCHED_CHARACTERS else []
    common = next(
        (own[at : at + width] for at in range(len(own) - width + 1) if tuple(own[at : at + width]) in runs), []
    )
    if not common:
        return f"the same {width} consecutive words"
    shown = unicodedata.normalize("NFC", " ".join(common))
    shown = shown if len(shown) <= _SHOWN_CHARACTERS else f"{shown[: _SHOWN_CHARACTERS - 1]}…"
    return f"the same {width} consecutive words ('{shown}')"
