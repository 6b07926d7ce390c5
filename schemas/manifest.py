"""What a published version contains and where it came from; written into its folder last."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel


class Funnel(BaseModel, extra="forbid", frozen=True):
    """How many records have which fate.

    ``accepted + rejected + duplicate + review = current`` and
    ``current + superseded + withdrawn = raw``: nothing is lost silently.
    """

    raw: int
    superseded: int
    withdrawn: int
    accepted: int
    rejected: int
    duplicate: int
    review: int

    @property
    def current(self) -> int:
        """Records that are neither superseded nor withdrawn."""
        return self.raw - self.superseded - self.withdrawn

    def adds_up(self) -> bool:
        """Whether every current record has exactly one fate."""
        return self.accepted + self.rejected + self.duplicate + self.review == self.current


class SplitFile(BaseModel, extra="forbid", frozen=True):
    """One Parquet file of a version."""

    file: str
    """Relative to the version's folder."""
    rows: int
    bytes: int
    sha256: str
    """Of the file's bytes."""
    content: str
    """sha256 over the sorted hashes of the rows' canonical JSON: independent of the Parquet writer."""


class Absence(StrEnum):
    """Why a split lacks a label."""

    TOO_FEW_GROUPS = "too_few_groups"
    """Each group is in one split, and there are more splits than groups with the label."""
    PINNED = "pinned"
    """Too many of its groups are pinned to other splits, by an earlier version or by their source."""
    FULL = "full"
    """Rows pinned to the split fill its share, so that it takes no new ones."""
    NO_DIVISION = "no_division"
    """No assignment was found that puts every label in every split."""
    NO_ROWS = "no_rows"
    """The task has the label, but no row of the version."""


class AbsentLabel(BaseModel, extra="forbid", frozen=True):
    """A label missing from some splits of a version, for one reason."""

    label: str
    splits: list[str]
    """The splits without it."""
    groups: int
    """How many groups of rows have it; each is in one split."""
    reason: Absence
    why: str
    """The reason in words."""


class Manifest(BaseModel, extra="forbid", frozen=True):
    """The identity and lineage of a published version."""

    name: str
    version: str
    digest: str
    """``sha256:`` and 64 hex digits over every split's name, row count and content."""
    created_at: datetime
    goldleaf: str
    """The version of Goldleaf that published it."""
    run: str
    task: str
    task_digest: str
    kind: str
    metric: str
    input_fields: list[str] = []
    """The fields of ``fields`` that are inputs of the model; empty in versions from before this was recorded."""
    target_fields: list[str] = []
    """The fields that the model must answer with."""
    splits: dict[str, SplitFile]
    preferences: dict[str, SplitFile] = {}
    """The corrections of annotators by split, as preference pairs; not published by early versions."""
    funnel: Funnel
    label_sources: dict[str, int]
    from_gold: int = 0
    """Of `human`, rows of gold sources about which no annotator has decided; not counted in early versions."""
    unreviewed: int = 0
    """Rows that were accepted though uncertain, beyond the review budget; not counted in early versions."""
    in_review: int = 0
    """Rows with an answer that wait for annotators, and are in no split; not counted in early versions."""
    in_review_pinned: dict[str, int] = {}
    """Of these, rows whose split is certain, such as by their source, by split; not counted in early versions."""
    doubted: int = 0
    """Of these, rows whose answer models that were trained on the other rows doubt."""
    absent: list[AbsentLabel] = []
    """Labels missing from some split; not recorded in early versions."""
    licenses: dict[str, str]
    """License by source."""
    tokens: int
    encoding: str
    inputs: dict[str, int]
    """Version of each table that was read."""
    previous: str | None = None
    """The version published before this one."""
    files: dict[str, str]
    """sha256 of every other file of the version by name; under ``manifest.json`` its own, computed with
    that entry empty."""
    config: dict[str, Any]
    """The dataset's configuration at the time, without local folders and keys in URLs."""

    @property
    def reference(self) -> str:
        """The line that pins this version in another repository."""
        return f"{self.name}@{self.version} {self.digest}"
