"""Takes the rows of a release piece by piece, in the order of its files.

They are made from what their decisions say: these are read once, and the texts wait in files, one for each piece.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path

import orjson
import polars as pl
import pyarrow as pa

from pipeline.config.dataset_file import LoadedDataset
from pipeline.releases.published_rows import ROWS_AT_ONCE, PublishedRow, rows_table
from pipeline.state.atomic import sealed_bytes, writing
from pipeline.state.snapshot import Snapshot
from pipeline.state.tables import Table

_FEW_ROWS = 5_000
"""That are Python objects at a time."""
_SAID = ["inputs", "targets"]
ROWS = pl.Schema(
    {
        "record_id": pl.String(),
        "run": pl.String(),
        "split": pl.String(),
        "source": pl.String(),
        "label_source": pl.String(),
        "group": pl.String(),
        "tokens": pl.Int64(),
    }
)
"""What a release knows of its rows beside what they say; ``run`` has decided that."""


class ReleaseRows:
    """The rows of a release, which are never all in memory."""

    def __init__(self, rows: pl.DataFrame, snapshot: Snapshot, dataset: LoadedDataset, folder: Path) -> None:
        """Divide them into pieces.

        Args:
            rows: with the columns of ``ROWS``, by split in the order of the files, then by id.
            snapshot: has their decisions.
            dataset: the task that renders them.
            folder: for texts that wait; it exists.
        """
        self._snapshot, self._dataset, self._folder = snapshot, dataset, folder
        place = pl.int_range(pl.len(), dtype=pl.Int64).over("split")
        self._rows = rows.with_columns(piece=place // ROWS_AT_ONCE)

    def pieces(self, split: str) -> Iterator[pa.Table]:
        """The rows of a split, by id."""
        rows = self._rows.filter(pl.col("split") == split)
        for piece in rows.partition_by("piece", maintain_order=True):
            yield pa.concat_tables([self._rendered(some) for some in self._with_texts(piece).iter_slices(_FEW_ROWS)])

    def _rendered(self, rows: pl.DataFrame) -> pa.Table:
        licenses = {source.name: source.license for source in self._dataset.config.sources}
        columns = rows.select("record_id", *_SAID, "source", "label_source", "group", "tokens").iter_rows()
        return rows_table(
            self._dataset.task,
            (
                PublishedRow(
                    record_id=record_id,
                    inputs=orjson.loads(inputs),
                    targets=orjson.loads(targets),
                    source=source,
                    license=licenses.get(source, "unknown"),
                    label_source=label_source,
                    group=group,
                    tokens=tokens,
                )
                for record_id, inputs, targets, source, label_source, group, tokens in columns
            ),
        )

    def _with_texts(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows of a piece with what they say."""
        path = self._texts[rows["split"][0], rows["piece"][0]]
        said = pl.DataFrame(pa.ipc.open_stream(pa.py_buffer(sealed_bytes(path))).read_all())
        return rows.join(said, on="record_id", maintain_order="left")

    @cached_property
    def _texts(self) -> Mapping[tuple[str, int], Path]:
        """Files with what the rows say, by split and piece."""
        rows = self._rows.select("record_id", "run", "split", "piece")
        decisions = self._snapshot.scan(Table.DECISIONS).filter(pl.col("run").is_in(rows["run"].unique().implode()))
        found = decisions.select("record_id", "run", *_SAID).join(rows.lazy(), on=["record_id", "run"])
        paths: dict[tuple[str, int], Path] = {}
        files: dict[tuple[str, int], pa.RecordBatchStreamWriter] = {}
        with ExitStack() as opened:
            for batch in found.collect_batches(chunk_size=ROWS_AT_ONCE):
                for key, part in batch.partition_by("split", "piece", as_dict=True).items():
                    texts = part.select("record_id", *_SAID).to_arrow(compat_level=pl.CompatLevel.oldest())
                    if key not in files:
                        paths[key] = self._folder / f"texts-{len(paths):05}.arrows"
                        sink = opened.enter_context(writing(paths[key], sealed=True))
                        files[key] = opened.enter_context(pa.ipc.new_stream(sink, texts.schema))
                    files[key].write_table(texts)
        return paths
