"""Versions as toys: the rows, tables and inputs of which tests publish them, and what is then in their folders."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import yaml

from pipeline.releases import publish as publishing
from pipeline.releases.dataset_card import VersionFacts
from pipeline.releases.publish import DATA, ReleaseInputs
from pipeline.releases.published_rows import PublishedRow, rows_table
from pipeline.releases.row_digests import content_of, row_digests, version_digest
from pipeline.releases.row_files import pieces_of, write_rows
from pipeline.state.staging import staged
from schemas.dataset import Dataset
from schemas.manifest import Funnel, Manifest
from schemas.task import Input, Target, Task
from schemas.tasks.contract_clause import ClauseKind
from schemas.tasks.invoice import Invoice


class ContractClause(Task):
    """Name the kind of this contract clause."""

    clause: Input[str]
    kind: Target[ClauseKind]

    @classmethod
    def task_answer_form(cls) -> str:
        """Nothing: the bytes of these rows are pinned, and another wording of ours must not change them."""
        return ""


def clauses(prefix: str, count: int, kind: str = "term") -> list[PublishedRow]:
    return [
        PublishedRow(
            record_id=f"{prefix}{at:04}",
            inputs={"clause": f"Clause {at} of the {prefix} agreement — § {at * at}"},
            targets={"kind": kind},
            source="contracts",
            license="CC-BY-4.0",
            label_source="human" if at % 3 else "source",
            group=f"{prefix}{at // 2:04}",
            tokens=12,
        )
        for at in range(count)
    ]


def invoice(record_id: str, **targets: Any) -> PublishedRow:
    known = {"vendor": "Brick & Co", "invoice_number": "7", "total": 12.5, "currency": "EUR"}
    values = Invoice.task_canonical({**known, **targets})
    return PublishedRow(record_id, {"text": "Brick & Co bills 12.50"}, values, "mail", "MIT", "source", record_id, 20)


def release(name: str = "clauses", task: type[Task] = ContractClause, **config: Any) -> ReleaseInputs:
    return ReleaseInputs(
        dataset=Dataset.model_validate(
            {"name": name, "task": "clauses.py:It", "sources": [{"name": "contracts", "path": "c.jsonl"}], **config}
        ),
        task=task,
        run="run-1",
        goldleaf="0.1.0",
        created_at=datetime(2026, 1, 2, tzinfo=UTC),
        facts=facts(),
    )


def facts(**more: Any) -> VersionFacts:
    funnel = Funnel(raw=40, superseded=3, withdrawn=2, accepted=30, rejected=1, duplicate=3, review=1)
    return VersionFacts(**{"funnel": funnel, "inputs": {"records": 4}, **more})


def tables(train: int = 20, test: int = 10) -> dict[str, pa.Table]:
    return {
        "train": rows_table(ContractClause, clauses("train", train)),
        "test": rows_table(ContractClause, clauses("test", test)),
    }


def publish(
    version_dir: Path, rows: Mapping[str, pa.Table], told: ReleaseInputs, extras: Mapping[str, bytes] | None = None
) -> Manifest:
    """Publish rows by split."""
    with staged(version_dir.parent) as folder:
        files = {split: write_rows(folder / DATA, split, one.schema, pieces_of(one)) for split, one in rows.items()}
        return publishing.publish(folder, version_dir, files, told, extras)


def content_digest(rows: Mapping[str, pa.Table]) -> str:
    """The digest that a version with these rows by split would have."""
    contents = {split: (one.num_rows, content_of(row_digests(one))) for split, one in rows.items() if one.num_rows}
    return version_digest(contents)


def load(folder: Path, cache: Path) -> datasets.DatasetDict:
    found = datasets.load_dataset(str(folder), cache_dir=str(cache))
    assert isinstance(found, datasets.DatasetDict)
    return found


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def metadata(folder: Path) -> dict[str, Any]:
    _, head, _ = (folder / "README.md").read_text().split("---\n", 2)
    found: dict[str, Any] = yaml.safe_load(head)
    return found
