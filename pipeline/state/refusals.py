"""Notes which questions a server has refused, and says which questions nobody answers.

With the notes, reconcile names the refused ones, and only curate sends them again.
"""

from collections.abc import Mapping

import polars as pl

from pipeline.errors import StoreError
from pipeline.state.snapshot import Snapshot
from pipeline.state.store import Store
from pipeline.state.tables import Table
from pipeline.state.work_files import read_work, write_work
from schemas.annotation import Verdict

_SCHEMA = {name: pl.String() for name in ("server", "push_key", "reason", "record_id")}
_RETURNED = (Verdict.SKIPPED.value, Verdict.UNREAD.value, Verdict.INVALID.value)
"""What is no answer, though Label Studio counts the task as done."""


def note_refusals(store: Store, server: str, refused: Mapping[str, str], records: Mapping[str, str]) -> None:
    """Replace what was noted of a server: a push sends everything again that it does not have.

    Args:
        store: of the dataset.
        server: its identity.
        refused: the reasons by push key.
        records: by push key, what was asked about.
    """
    rows = [(server, key, reason, records[key]) for key, reason in refused.items()]
    now, known = pl.DataFrame(rows, schema=_SCHEMA, orient="row"), _read(store)
    if not known.filter(server=server).equals(now):
        write_work(pl.concat([known.filter(pl.col("server") != server), now]), store.refused)


def refusals(store: Store, server: str) -> dict[str, str]:
    """What the last push to a server was refused: the reasons by push key."""
    return dict(_read(store).filter(server=server).select("push_key", "reason").iter_rows())


def given_up(snapshot: Snapshot) -> dict[str, str]:
    """Questions that annotators skipped or answered with nothing valid, or that a server refused: record by push key.

    What a push that broke off did not send is neither: it is open.
    """
    given = snapshot.latest_annotations().filter(~pl.col("deleted"))
    newest = given.sort("updated_at", "annotation_id").unique("push_key", keep="last", maintain_order=True)
    back = newest.filter(pl.col("verdict").is_in(_RETURNED)).select("push_key", "record_id").collect()
    refused = _read(snapshot.store).select("push_key", "record_id")
    if refused.height:
        sent = snapshot.scan(Table.PUSHES).select("push_key").collect()
        refused = refused.join(sent, on="push_key", how="anti")
    return dict([*back.iter_rows(), *refused.iter_rows()])


def _read(store: Store) -> pl.DataFrame:
    try:
        known = read_work(store.refused) if store.refused.exists() else pl.DataFrame(schema=_SCHEMA)
    except StoreError:
        known = pl.DataFrame()
    # Damaged, or of an earlier Goldleaf: what is refused shows again with the next push.
    return known if known.schema == pl.Schema(_SCHEMA) else pl.DataFrame(schema=_SCHEMA)
