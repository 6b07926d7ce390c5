"""The cases of each chunk: compared once, kept until all chunks were compared, and read again."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.config.dataset_file import LoadedDataset
from pipeline.curation.case import Case
from pipeline.curation.chunks import read_prepared
from pipeline.curation.compare_rows import Comparison
from pipeline.curation.contamination import forget_known_answers
from pipeline.curation.history import ROW_COLUMNS, read_histories, read_known
from pipeline.curation.kept_cases import read_cases, write_cases
from pipeline.curation.known import Known
from pipeline.curation.look import Look
from pipeline.curation.mark_duplicates import Published, mark_duplicates
from pipeline.curation.measure import reject_long, screen_answers
from pipeline.curation.open_cases import Opened
from pipeline.curation.pasts import Pasts
from pipeline.curation.prepare import PREPARED
from pipeline.curation.score_labels import Scoring
from pipeline.curation.second_voice import SecondVoice
from pipeline.curation.trusted import gold_records, trust_gold
from pipeline.similarity.signatures import INPUTS
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
        """Compare the records of a chunk with each other, and keep the cases that come of it."""
        records = self._known(chunk)
        matched = mark_duplicates(records, self._compared.related(chunk), self._published, self._dataset)
        cases = list(map(Case, records, matched, voice.answers(records)))
        scoring.see(cases, chunk)
        voice.hear(cases)
        if len(self._compared.chunks) == 1:
            self._here = cases
        else:
            write_cases(cases, self.path(chunk))

    def _known(self, chunk: int) -> list[Known]:
        """What is known of the records of a chunk before they are compared with each other."""
        task, config = self._dataset.task, self._dataset.config
        numbers, contaminated = self._compared.chunks[chunk], self._compared.contaminated
        schema = {name: PREPARED[name] for name in ROW_COLUMNS}
        rows = read_prepared(self._compared.prepared, numbers, schema)
        past = read_histories(self._pasts.of(chunk), rows, task, self._opened.heard)
        records = read_known(rows, past, task, forgets=self._opened.forgets)
        records = trust_gold(records, self._gold)
        records = screen_answers(records, config.screen)
        records = reject_long(records, task, config)
        records = contaminated.reject(records, numbers, self._compared.similar.numbers[INPUTS][numbers], config, task)
        return forget_known_answers(records, contaminated.evaluation, config)

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
