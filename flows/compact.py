"""Compact: put together what many small runs have left, and delete what nothing refers to any more."""

from flows.context import Context
from flows.engines.engine import Engine
from pipeline.curation.small_files import compact as put_together
from pipeline.state.compaction import Compacted


def compact(context: Context, engine: Engine) -> dict[str, Compacted]:
    """Compact a dataset; returns what became of the files of each table, by its name."""
    context.require_owner()
    with engine.progress.step("putting files together"):
        return put_together(context.store)
