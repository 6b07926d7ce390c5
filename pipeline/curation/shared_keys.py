"""What records have in common with others of their group, as it was derived when they came in."""

from collections.abc import Sequence

import orjson
import polars as pl

from pipeline.config.dataset_file import LoadedDataset
from pipeline.curation.derived_rows import DerivedRows, NotDerived, derivation_digest
from pipeline.curation.mark_duplicates import past_group_keys
from pipeline.curation.standing import PLACED, read_standing
from pipeline.state.snapshot import Snapshot
from schemas.run_summary import CurateFacts

_IDS = ["record_id", "revision"]
_PLACES = [*_IDS, "file", "row"]


def shared_keys(snapshot: Snapshot, dataset: LoadedDataset, ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The values of ``split.group_by`` of some current records; raw rows are read of those that are not derived.

    Args:
        snapshot: the committed state.
        dataset: says by what rows are grouped.
        ids: of the records; unreadable ones are left out.
    """
    group_by = dataset.config.split.group_by
    if not group_by:
        return {}
    wanted = pl.col("record_id").is_in(list(ids)) & (pl.col("error") == "")
    rows = snapshot.current_records().filter(wanted).select(_IDS).collect()
    places = rows.join(_places(snapshot), on=_IDS, how="left", maintain_order="left")
    derived, missing = places.drop_nulls("file"), places.filter(pl.col("file").is_null())
    kept = DerivedRows(snapshot.store.derived(derivation_digest(dataset)))
    try:
        texts = kept.take(derived, ["group_keys"])["group_keys"].to_list()
    except NotDerived:
        derived, missing, texts = derived.clear(), places, []
    found = {record_id: tuple(orjson.loads(text)) for record_id, text in zip(derived["record_id"], texts, strict=True)}
    others = past_group_keys(missing.select(_IDS), snapshot, group_by)
    return found | {record_id: keys for (record_id, _), keys in others.items()}


def _places(snapshot: Snapshot) -> pl.DataFrame:
    """Where the derived rows of the records are, as far as that is known."""
    last = snapshot.last_run(CurateFacts)
    standing = read_standing(snapshot.store, last.id) if last else None
    if standing is None:
        return pl.DataFrame(schema={name: PLACED[name] for name in _PLACES})
    return standing.columns(*_PLACES)
