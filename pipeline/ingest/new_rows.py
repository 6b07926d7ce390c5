"""Chooses from the rows of the sources what the table of records does not have yet, and what is gone from them."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote

import orjson
import polars as pl

from pipeline.errors import SourceError
from pipeline.ingest.changed_keys import Recognized, recognize
from pipeline.ingest.found_rows import FoundInSource
from pipeline.ingest.read_cache import NotEnough
from pipeline.ingest.row_index import Index
from pipeline.ingest.sources import SourceReading
from pipeline.state.tables import SCHEMAS, Table
from pipeline.state.work_files import read_work
from schemas.dataset import Csv, Mode, Source
from schemas.identity import revision_of

_RECORD = SCHEMAS[Table.RECORDS]
_KNOWN = [name for name in _RECORD if name != "raw"]
_SAME = ["record_id", "revision"]
_ALL_BUT_WORDS = bytes(byte for byte in range(256) if not (byte < 128 and chr(byte).isalnum()))
"""What depends on how a table is separated, quoted and encoded."""
_FEW = 20
"""In a snapshot of fewer records, a large share of them says little."""
_FOUND = [*_SAME, "source", "file", "line", "position"]


@dataclass(frozen=True)
class NewRows:
    """What is new in the sources."""

    found: Recognized
    """The rows that it was chosen from."""
    wanted: pl.DataFrame
    """The rows to append, with the columns of ``INDEX``."""
    gone: pl.DataFrame
    """Rows that mark records as withdrawn, with all columns of the table."""
    latest: pl.DataFrame
    """The current row of every record so far, or of every record that a change concerns, without what it says."""
    unread: pl.DataFrame
    """Those of records without a row in any file, which their source, a log, keeps."""
    rekeyed: pl.DataFrame
    """The last row of every other record that has another key now, with this one."""

    def __len__(self) -> int:
        """How many rows are to be appended."""
        return self.wanted.height + self.gone.height + self.rekeyed.height


def new_rows(
    index: Index,
    present: pl.LazyFrame,
    readings: Sequence[SourceReading],
    run: str,
    lines: int,
    chunks: Sequence[Path],
) -> NewRows:
    """Compare the rows of the sources with those of the table.

    Args:
        index: all rows, or those of the records that a change concerns.
        present: the table's rows.
        readings: of all sources.
        run: becomes the ``batch`` of rows that mark records as withdrawn.
        lines: how many rows all sources have.
        chunks: files with the rows that were read, by position.
    """
    sources, half = [reading.source for reading in readings], [one for reading in readings for one in reading.half]
    appended = pl.col("source").is_in([source.name for source in sources if source.mode is Mode.APPEND])
    concerned = pl.lit(True) if index.is_whole else pl.col("record_id").is_in(index.records.implode())
    is_half = (pl.col("error") != "") | pl.col("revision").is_in(half)
    # Half of a line concerns whoever reads the whole one, however many runs later.
    known = present.filter(concerned | (appended & is_half)).select(_KNOWN).collect()
    known = known.sort("batch", "position")
    found = recognize(index, known, present, readings)
    rows, last = found.index.now, found.with_keys(known.unique("record_id", keep="last", maintain_order=True))
    latest = last.filter(~pl.col("withdrawn"))
    # Only of a CSV with options of its own another reading can have found other rows in the same lines.
    may_be = is_half | pl.col("source").is_in([one.name for one in sources if one.csv != Csv()])
    otherwise = _read_otherwise(rows, latest.filter(appended & may_be), present, chunks, half)
    kept = latest.filter(appended).join(pl.concat([otherwise, found.merged]), on="record_id", how="anti")
    gone = _withdrawals(rows, latest.join(kept, on="record_id", how="anti", maintain_order="left"), run, lines)
    unread = latest.filter(concerned).join(rows, on="record_id", how="anti").join(gone, on="record_id", how="anti")
    wanted = _wanted(rows, known, latest)
    others = last.join(found.keys, on="record_id", how="semi", maintain_order="left")
    changed = pl.concat([one.select("record_id") for one in (wanted, gone)])
    rekeyed = others.join(changed, on="record_id", how="anti", maintain_order="left")
    return NewRows(found, wanted, gone, latest, unread, rekeyed)


def _wanted(rows: pl.DataFrame, known: pl.DataFrame, latest: pl.DataFrame) -> pl.DataFrame:
    """The rows to append, given all known rows and the current one of every record.

    A key's last row is new if it differs from the record's current revision; its earlier rows only
    if that revision was never seen, or reading a file of updates twice would replay them. If an
    earlier row is new, the last one is always appended after it, so that it stays the current revision.
    """
    final = rows.filter("final")
    last = final.join(latest, on=_SAME, how="anti")
    earlier = (
        rows.filter(~pl.col("final"))
        .join(known, on=_SAME, how="anti")
        .join(final, on=_SAME, how="anti")
        .unique(_SAME, keep="first", maintain_order=True)
    )
    again = final.join(earlier, on="record_id", how="semi")
    return pl.concat([last, earlier, again]).unique("position")


def _withdrawals(rows: pl.DataFrame, latest: pl.DataFrame, run: str, lines: int) -> pl.DataFrame:
    """Marker rows for records that have no row any more.

    Args:
        rows: those of the sources.
        latest: of snapshot sources, of sources that are no longer named, and what was half of a line or read otherwise.
            This is the only way to get rid of a source's rows; if the source comes back, so do they, unchanged.
        run: becomes the ``batch``.
        lines: how many rows all sources have.
    """
    gone = latest.join(rows, on="record_id", how="anti", maintain_order="left")
    return gone.with_columns(
        withdrawn=pl.lit(True),
        batch=pl.lit(run),
        position=pl.int_range(lines, lines + gone.height, dtype=pl.Int64),
        ingested_at=pl.lit(datetime.now(UTC)).cast(_RECORD["ingested_at"]),
        raw=pl.lit(b""),
    ).select(_RECORD.names())


def _read_otherwise(
    rows: pl.DataFrame, latest: pl.DataFrame, present: pl.LazyFrame, chunks: Sequence[Path], half: Sequence[str]
) -> pl.DataFrame:
    """``record_id`` of the rows whose line is read as another one now: only its beginning had been written, or it was
    separated or decoded wrongly.
    """
    broken = latest.join(rows, on="record_id", how="anti")
    places = ["source", "file", "line"]
    now = broken.select(*_SAME, *places).join(rows.filter("is_fresh").select(*places, "position"), on=places)
    if now.is_empty():
        return now.select("record_id")
    begun = present.filter(pl.col("record_id").is_in(now["record_id"].implode()), ~pl.col("withdrawn"))
    whole = pl.concat(read_work(chunk, ["position", "raw"]).join(now, on="position", how="semi") for chunk in chunks)
    pairs = now.join(whole, on="position").join(
        begun.select("record_id", "raw").collect(), on="record_id", suffix="_begun"
    )
    is_whole = [
        _goes_on(begun, whole) if revision in half else _begins(begun, whole)
        for revision, begun, whole in pairs.select("revision", "raw_begun", "raw").iter_rows()
    ]
    return pairs.filter(pl.Series(is_whole, dtype=pl.Boolean)).select("record_id").unique()


def _begins(begun: bytes, whole: bytes) -> bool:
    """Whether a row was written as far as this before, or is the same but for how a table is written."""
    if whole.startswith(begun):
        return True
    before, now = _cells(begun), _cells(whole)
    if now is None or (before is None and begun.startswith(b"{")):
        return False
    # What could be read is whole.
    words, written = ((before or begun).translate(None, _ALL_BUT_WORDS), now.translate(None, _ALL_BUT_WORDS))
    return bool(words) and (written == words or (before is None and written.startswith(words)))


def _goes_on(begun: bytes, whole: bytes) -> bool:
    """Whether a CSV's row is one whose last cell was written as far as this before, or is half written again."""
    if _cells(whole) is not None:
        return whole.startswith(_open(begun))
    return whole.translate(None, _ALL_BUT_WORDS).startswith((_cells(begun) or b"").translate(None, _ALL_BUT_WORDS))


def _open(raw: bytes) -> bytes:
    """A CSV's row, which is kept as JSON, up to the end of its last cell."""
    return raw.removesuffix(b"null}").removesuffix(b'"}')


def _cells(raw: bytes) -> bytes | None:
    """The cells of a CSV's row, which is kept as JSON, one after the other; None for anything else."""
    with suppress(orjson.JSONDecodeError):
        if isinstance(row := orjson.loads(raw), dict):
            return "".join(cell for cell in row.values() if isinstance(cell, str)).encode()
    return None


def require_readable(source: Source, found: FoundInSource, new: NewRows) -> None:
    """Refuse to take rows of a source of which most cannot be read: it is something else, such as a page.

    Raises:
        SourceError: it is.
    """
    rows = sum(file.rows for file in found.files.values())
    broken = sum(file.broken for file in found.files.values())
    if broken > source.most_unreadable * rows and new.wanted.filter("has_error", source=source.name).height:
        raise SourceError(
            f"source '{source.name}': {broken:,} of its {rows:,} rows cannot be read, such as {found.unreadable}; "
            f"correct its files, or set `most_unreadable`, which allows {source.most_unreadable:.0%}"
        )


def require_sound(source: Source, found: FoundInSource, new: NewRows, present: pl.LazyFrame, *, agreed: bool) -> None:
    """Refuse to withdraw the rows of a snapshot source that is empty, cut off, or has lost very many rows.

    Args:
        source: of mode snapshot.
        found: what is in its files.
        new: what is new and gone in all sources.
        present: the table's rows.
        agreed: whether the user has said that many rows are really gone.

    Raises:
        SourceError: it is.
    """
    present, lost = present.filter(pl.col("source") == source.name), new.gone.filter(source=source.name)
    if lost.height and found.is_empty:
        raise SourceError(
            f"snapshot source '{source.name}' is empty, which would withdraw all its {_current(present):,} records; "
            "restore its file, or, if they are really gone, remove the source from dataset.yaml"
        )
    # Losing a broken row, or finding it broken differently, is no loss.
    count = lost.filter(pl.col("error") == "").height
    if count and (damage := found.damage()):
        raise SourceError(
            f"snapshot source '{source.name}' {damage}, which would withdraw {count:,} of its {_current(present):,} "
            "records; fix or restore the file, or, if it is still being written, run it again later"
        )
    for file, last in found.lasts():
        if _is_cut(last.encode(), new.wanted.filter(source=source.name), lost, present):
            raise SourceError(
                f"snapshot source '{source.name}' ends in the middle of a row: the last one of {file} was longer "
                "before; restore the file, or, if the row is whole, end it with a line end"
            )
    # Without a key, an edited row is one that is gone and another one.
    count -= new.wanted.filter(~pl.col("has_error"), source=source.name, by_content=True, final=True).height
    if not agreed and (known := too_many(source, count, present)):
        raise SourceError(
            f"snapshot source '{source.name}' has lost {count:,} of its {known:,} records, more than `most_withdrawn` "
            f"allows ({source.most_withdrawn:.0%}); run it again later if its files are still being written, or else "
            f"restore them, or, if these rows are really gone, withdraw them with `goldleaf curate "
            f"--withdraw {quote(source.name)}`"
        )


def too_many(source: Source, lost: int, present: pl.LazyFrame) -> int:
    """How many records a source has, if it has lost more of them than it may; otherwise 0."""
    if lost <= source.most_withdrawn * _FEW:
        return 0
    known = _current(present.filter(pl.col("source") == source.name))
    return known if known >= _FEW and lost > source.most_withdrawn * known else 0


def _current(present: pl.LazyFrame) -> int:
    rows = present.select("record_id", "batch", "position", "withdrawn").sort("batch", "position")
    latest = rows.unique("record_id", keep="last").filter(~pl.col("withdrawn"))
    return int(latest.select(pl.len()).collect().item())


def _is_cut(last: bytes, wanted: pl.DataFrame, lost: pl.DataFrame, present: pl.LazyFrame) -> bool:
    """Whether a CSV's last row, which has no line end, is new and the beginning of one that was there before."""
    revision = revision_of(last)
    edited = wanted.filter(revision=revision)["record_id"]
    if edited.is_empty():
        return False
    before = present.filter(pl.col("record_id").is_in(pl.concat([edited, lost["record_id"]]).implode()))
    longer = before.filter(pl.col("raw").bin.starts_with(_open(last)), pl.col("raw") != last)
    return not longer.select("raw").head(1).collect().is_empty()


# --- their bytes ----------------------------------------------------------------------------------
def rows_to_append(
    wanted: pl.DataFrame, index: Index, chunks: Sequence[Path], present: pl.LazyFrame, run: str
) -> Iterator[pl.DataFrame]:
    """The rows to append, with all columns of the table.

    Args:
        wanted: those of ``NewRows``.
        index: of the rows that they were chosen from.
        chunks: files with the rows that were read, by position.
        present: the table's rows.
        run: becomes the ``batch`` of the rows that were not read.

    Raises:
        NotEnough: the bytes of a row that was not read are not at hand; raised before the first row comes.
    """
    elsewhere = wanted.filter(~pl.col("is_fresh"))
    if elsewhere.height:
        yield _from_elsewhere(elsewhere, index.now, chunks, present, run)
    ids = wanted.select("position", "record_id", by_content_key="key")
    for chunk in chunks:
        rows = read_work(chunk).drop("record_id")
        fresh = rows.join(ids, on="position", maintain_order="left")
        if fresh.height:
            yield fresh.with_columns(key=pl.coalesce("by_content_key", "key")).select(_RECORD.names())


def _from_elsewhere(
    rows: pl.DataFrame, index: pl.DataFrame, chunks: Sequence[Path], present: pl.LazyFrame, run: str
) -> pl.DataFrame:
    """Rows of files that were not read: a row by content is a further copy of one that was read, and the table has all
    others, since they were read before.
    """
    copies = _copied(rows.filter("by_content"), index, chunks)
    ids = rows["record_id"].implode()
    # Whatever its key was when it said so.
    key = pl.col("key").sort_by("batch", "position").last().over("record_id")
    ever = present.filter(pl.col("record_id").is_in(ids)).with_columns(key)
    sound = ever.filter(~pl.col("withdrawn"), pl.col("error") == "")
    known = sound.select(*_SAME, "key", "raw").collect().unique(_SAME)
    keyed = rows.filter(~pl.col("by_content")).drop("key").join(known, on=_SAME)
    found = pl.concat([copies.select(names := [*_FOUND, "key", "raw"]), keyed.select(names)])
    if found.height != rows.height:
        raise NotEnough
    now = pl.lit(datetime.now(UTC)).cast(_RECORD["ingested_at"])
    return found.with_columns(error=pl.lit(""), withdrawn=pl.lit(False), batch=pl.lit(run), ingested_at=now).select(
        _RECORD.names()
    )


def _copied(rows: pl.DataFrame, index: pl.DataFrame, chunks: Sequence[Path]) -> pl.DataFrame:
    """Rows by content with the bytes of rows of the same content that were read.

    Broken ones are left out: the same bytes may be broken for another reason, as between other lines of a CSV.
    """
    content = ["source", "revision", "has_error"]
    read = index.filter("is_fresh", "by_content", ~pl.col("has_error")).unique(content, keep="any")
    copies = rows.join(read.select(*content, at="position"), on=content)
    places = copies.select(position="at").unique()
    parts = [read_work(chunk, ["position", "raw"]).join(places, on="position", how="semi") for chunk in chunks]
    schema = {name: _RECORD[name] for name in ("position", "raw")}
    return copies.join(pl.concat([pl.DataFrame(schema=schema), *parts]), left_on="at", right_on="position")
