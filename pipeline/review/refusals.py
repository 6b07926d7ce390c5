"""Notes which questions a server has refused, so that reconcile names them, and only curate sends them again."""

from collections.abc import Mapping

import polars as pl

from pipeline.errors import StoreError
from pipeline.state.store import Store
from pipeline.state.work_files import read_work, write_work

_SCHEMA = {"server": pl.String(), "push_key": pl.String(), "reason": pl.String()}


def note_refusals(store: Store, server: str, refused: Mapping[str, str]) -> None:
    """Replace what was noted of a server: a push sends everything again that it does not have.

    Args:
        store: of the dataset.
        server: its identity.
        refused: the reasons by push key.
    """
    known = _read(store)
    if dict(known.filter(server=server).select("push_key", "reason").iter_rows()) == dict(refused):
        return
    rows = [(server, key, reason) for key, reason in refused.items()]
    now = pl.DataFrame(rows, schema=_SCHEMA, orient="row")
    write_work(pl.concat([known.filter(pl.col("server") != server), now]), store.refused)


def refusals(store: Store, server: str) -> dict[str, str]:
    """What the last push to a server was refused: the reasons by push key."""
    return dict(_read(store).filter(server=server).select("push_key", "reason").iter_rows())


def _read(store: Store) -> pl.DataFrame:
    try:
        return read_work(store.refused) if store.refused.exists() else pl.DataFrame(schema=_SCHEMA)
    except StoreError:
        # Damaged: what is refused shows again with the next push.
        return pl.DataFrame(schema=_SCHEMA)
