"""Finds the rows of the last version that a release does not have: nobody else would miss them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from pipeline.errors import ReleaseError
from pipeline.releases.versions import list_versions, version_rows
from pipeline.state.snapshot import Snapshot
from pipeline.state.store import Store
from pipeline.text.wording import counted
from schemas.fate import Fate, LabelSource

_SMALL = 20
"""Of a version with fewer rows, one is a large share already."""
_GONE, _COPIES = "gone from the source", "copies of other rows"
_NOW = {
    Fate.REVIEW.value: "in review",
    Fate.REJECTED.value: "rejected",
    Fate.DUPLICATE.value: _COPIES,
}


@dataclass(frozen=True)
class LostRows:
    """What a release does not have of the last version."""

    version: str
    rows: int
    """That it has."""
    lost: int
    answered: int
    """Of these, rows with an answer by annotators, or of a gold source."""
    now: Mapping[str, int] = field(default_factory=dict)
    """What has become of them, the most frequent first."""
    problem: str = ""
    """Why nobody can say."""

    @property
    def dropped(self) -> int:
        """Those that no source took away, and no other row stands for."""
        return self.lost - self.now.get(_GONE, 0) - self.now.get(_COPIES, 0)

    def __str__(self) -> str:
        """The numbers in words; empty if none is lost."""
        if self.problem:
            return (
                f"the rows of {self.version} cannot be read ({self.problem}), so which of them are not in it is unknown"
            )
        if not self.lost:
            return ""
        one = {_COPIES: "copy of another row"}
        now = ", ".join(f"{count:,} {one.get(what, what) if count == 1 else what}" for what, count in self.now.items())
        answered = f"{self.answered:,} of them answered by people; " if self.answered else ""
        return f"{self.lost:,} of {counted(self.rows, 'row')} of {self.version} are not in it ({answered}now {now})"


def lost_rows(store: Store, snapshot: Snapshot, rows: pl.DataFrame) -> LostRows | None:
    """Compare the rows of a draft with those of the last version; None if there is none.

    Args:
        store: has the versions.
        snapshot: what was drafted from.
        rows: the draft's, with ``record_id``.
    """
    if not (published := list_versions(store.releases)):
        return None
    last = published[-1]
    try:
        before = version_rows(store.releases / last.version, last, "id", "label_source").collect()
    except (OSError, pl.exceptions.PolarsError) as error:
        return LostRows(last.version, 0, 0, 0, problem=str(error).strip().partition("\n")[0])
    lost = before.rename({"id": "record_id"}).join(rows, on="record_id", how="anti")
    if lost.is_empty():
        return LostRows(last.version, before.height, 0, 0)
    decided = snapshot.current_decisions(pl.col("record_id").is_in(lost["record_id"].implode()))
    fates = dict(decided.select("record_id", "fate").collect().iter_rows())
    now = Counter(_NOW.get(fates.get(one, ""), _GONE) for one in lost["record_id"])
    answered = int((lost["label_source"] == LabelSource.HUMAN.value).sum())
    return LostRows(last.version, before.height, lost.height, answered, dict(sorted(now.items(), key=_first)))


def _first(count: tuple[str, int]) -> tuple[int, str]:
    return -count[1], count[0]


def require_few_lost(found: LostRows, most: float) -> None:
    """Refuse to publish without many of the last version's rows, unless their sources took them away.

    Raises:
        ReleaseError: they are more than such a share, or nobody can say.
    """
    if found.problem:
        raise ReleaseError(
            f"{found}; nothing was published. Restore {found.version} from a copy, or, to publish whatever is lost, "
            "run `goldleaf release --allow-lost`"
        )
    if found.rows >= _SMALL and found.dropped > most * found.rows:
        raise ReleaseError(
            f"{found}, which is more than release.most_lost ({most:.0%}); nothing was published. `goldleaf explain` "
            "says why a row is not; if that is meant, run `goldleaf release --allow-lost`"
        )
