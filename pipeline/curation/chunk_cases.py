"""The cases of each chunk: built and compared once, kept until all chunks were compared, and read again."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.config.dataset_file import LoadedDataset
from pipeline.curation.case import Case
from pipeline.curation.chunks import read_prepared
from pipeline.curation.compare_rows import Comparison
from pipeline.curation.contamination import forget_known_answers
from pipeline.curation.history import CASE_COLUMNS, build_cases, read_histories
from pipeline.curation.kept_cases import read_cases, write_cases
from pipeline.curation.look import Look
from pipeline.curation.mark_duplicates import Published, mark_duplicates
from pipeline.curation.measure import reject_long, screen_answers
from pipeline.curation.open_cases import Opened
from pipeline.curation.pasts import Pasts
from pipeline.curation.prepare import PREPARED
from pipeline.curation.score_labels import Scoring, forget_scores
from pipeline.curation.second_voice import SecondVoice
from pipeline.curation.trusted import gold_records, trust_gold
from pipeline.state.snapshot import Snapshot


class ChunkCases:
    """The cases of the rows that a run looks at, a chunk at a time."""

    def __init__(
        self,
        look: Look,
        opened: Opened,
        compared: Comparison,
        pasts: Pasts,
        focus: Snapshot,
        dataset: LoadedDataset,
        folder: Path,
    ) -> None:
        """Take what is known about the rows.

        Args:
            look: the rows.
            opened: what annotators have said about them.
            compared: what relates them.
            pasts: what was decided about those of each chunk.
            focus: the committed past of all of them.
            dataset: configuration and task.
            folder: for files.
        """
        self._look, self._opened, self._compared, self._pasts = look, opened, compared, pasts
        self._dataset, self._folder = dataset, folder
        self._published = Published(focus)
        self._gold = gold_records(focus, dataset.config.gold_sources)
        self._here: list[Case] | None = None

    def compare(self, chunk: int, scoring: Scoring, voice: SecondVoice) -> None:
        """Build the cases of a chunk, compare them with each other, and keep them."""
        cases = self._opened_cases(chunk)
        rows, config = self._compared.chunks[chunk], self._dataset.config
        texts = self._compared.similar.texts[rows]
        self._compared.contaminated.reject(cases, rows, texts, config, self._dataset.task)
        forget_known_answers(cases, self._compared.contaminated.evaluation, config)
        mark_duplicates(cases, self._compared.related(chunk), self._published, self._dataset)
        scoring.see(cases, chunk)
        voice.hear(cases)
        if len(self._compared.chunks) == 1:
            self._here = cases
        else:
            write_cases(cases, self.path(chunk))

    def _opened_cases(self, chunk: int) -> list[Case]:
        """The cases of a chunk before they are compared."""
        task, config = self._dataset.task, self._dataset.config
        schema = {name: PREPARED[name] for name in CASE_COLUMNS}
        rows = read_prepared(self._compared.prepared, self._compared.chunks[chunk], schema)
        past = read_histories(self._pasts.of(chunk), rows, task, self._opened.heard)
        cases = build_cases(rows, past, task)
        trust_gold(cases, self._gold)
        if self._opened.forgets:
            for case in cases:
                forget_scores(case)
        screen_answers(cases, config.screen)
        reject_long(cases, task, config)
        return cases

    def read(self, chunk: int, places: Sequence[int]) -> list[Case]:
        """Some of a chunk's cases, by their places in it."""
        if self._here is not None:
            return [self._here[place] for place in places]
        return read_cases(self.path(chunk), places)

    def here(self) -> list[Case]:
        """The cases of the only chunk, which are kept no longer."""
        assert self._here is not None
        cases, self._here = self._here, None
        return cases

    def path(self, chunk: int) -> Path:
        """The file of a chunk's cases, if there are several."""
        return self._folder / f"cases-{chunk:05}"
