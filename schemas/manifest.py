"""What a published version holds and where it came from; written last into its folder."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict


class Funnel(BaseModel):
    """How many records met which fate.

    ``accepted + rejected + duplicate + review = current`` and
    ``current + superseded + withdrawn = raw``: nothing is lost silently.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

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


class SplitFile(BaseModel):
    """One Parquet file of a version."""

    model_config = ConfigDict(extra="forbid", frozen=True)

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
    """A group goes to one split, and there are more splits than groups with the label."""
    PINNED = "pinned"
    """Too many of its groups are in other splits since an earlier version, or as their source says."""
    FULL = "full"
    """Rows that are bound to the split have all of its share, so that it takes no new ones."""
    NO_DIVISION = "no_division"
    """None was found in which every label is in every split."""


class AbsentLabel(BaseModel):
    """A label that some splits of a version lack for one reason."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    label: str
    splits: list[str]
    """Those without it."""
    groups: int
    """How many groups of rows have it; each goes to one split."""
    reason: Absence
    why: str
    """The reason in words."""


class Manifest(BaseModel):
    """The identity and lineage of a published version."""

    model_config = ConfigDict(extra="forbid", frozen=True)

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
    """The fields of ``fields`` that are given to the model; empty in versions from before this was written down."""
    target_fields: list[str] = []
    """Those that it must answer with."""
    splits: dict[str, SplitFile]
    funnel: Funnel
    label_sources: dict[str, int]
    unreviewed: int = 0
    """Rows that were accepted though doubtful, beyond the review budget; not counted in versions of early days."""
    absent: list[AbsentLabel] = []
    """Labels that are not in every split; not written down in versions of early days."""
    licenses: dict[str, str]
    """License by source."""
    tokens: int
    encoding: str
    inputs: dict[str, int]
    """Version of each table that was read."""
    previous: str | None = None
    """The version published before this one."""
    files: dict[str, str]
    """sha256 of every other file of the version by name; under ``manifest.json`` its own, taken while
    that entry is empty."""
    config: dict[str, Any]
    """The dataset's configuration as it was, without folders of the machine and keys in URLs."""

    @property
    def reference(self) -> str:
        """The line that pins this version in somebody else's repository."""
        return f"{self.name}@{self.version} {self.digest}"
