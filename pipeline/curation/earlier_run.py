"""What a run goes on from: what the last one has left to it, and why that may not be enough."""

from dataclasses import dataclass

from pipeline.config.dataset_file import TASK, LoadedDataset
from pipeline.config.workspace import Workspace
from pipeline.curation.derived_rows import DerivedRows, derivation_digest
from pipeline.curation.judge import Judge, read_judge
from pipeline.curation.standing import Header, Standing, read_standing
from pipeline.kinds.registry import kind_of
from pipeline.state.tables import INDEX
from schemas.run_summary import CurateFacts

LOST = "what was derived from the rows is gone, or of another Goldleaf"


@dataclass(frozen=True)
class Earlier:
    """What the last curate has left to this one."""

    last: Standing | None = None
    """What stands of it; None if that is not known."""
    judge: Judge | None = None
    """What judged its labels, if it may judge others."""
    why: str = "it is the first run"
    """Why this run may not go on from there; empty if it may."""

    @property
    def standing(self) -> Standing | None:
        """What stands of it, if this run may go on from there."""
        return None if self.why else self.last


def earlier(workspace: Workspace, evaluation: str) -> Earlier:
    """What the last curate has left to this one."""
    store, dataset = workspace.store, workspace.dataset
    snapshot = store.snapshot()
    last = snapshot.last_run(CurateFacts)
    if last is None:
        return Earlier()
    judge = read_judge(store, last.summary.judge, dataset) if last.summary.judge else None
    standing = read_standing(store, last.id)
    if standing is None:
        return Earlier(None, judge, "what stands of the last run is not known")
    header = standing.header
    if what := _changed(header, dataset, evaluation):
        return Earlier(standing, judge, what)
    if not holds_all(DerivedRows(store.derived(derivation_digest(dataset))), standing):
        return Earlier(standing, judge, LOST)
    if any(snapshot.versions[table] < header.versions.get(table.value, -1) for table in INDEX):
        return Earlier(standing, judge, "the index of similar texts is gone")
    if judge is None and not kind_of(dataset.task).judges_alone:
        return Earlier(standing, None, "what judges the labels is gone, or of another Goldleaf")
    return Earlier(standing, judge, why="")


def _changed(header: Header, dataset: LoadedDataset, evaluation: str) -> str:
    """What of all that decisions depend on is not as it was; empty if nothing is."""
    found: list[str] = []
    if header.curation != dataset.curation_digest:
        now = dataset.curation_parts
        keys = sorted(key for key in now if header.parts.get(key) != now[key] and key != TASK)
        is_task = header.parts.get(TASK) != now[TASK]
        found += [f"dataset.yaml has changed ({', '.join(keys)})"] * bool(keys or not is_task)
        found += ["the task has changed"] * is_task
    if header.evaluation != evaluation:
        found.append("the evaluation sets have changed")
    return "; ".join(found)


def holds_all(kept: DerivedRows, standing: Standing) -> bool:
    """Whether there is a file for all of its rows, derived by the same rules."""
    return standing.header.derivation == kept.folder.name and kept.sizes.keys() >= standing.files
