"""A published version loads anywhere, is the same bytes for the same rows, and says what it holds."""

import hashlib
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from release_toys import (
    ContractClause,
    clauses,
    content_digest,
    facts,
    files,
    invoice,
    load,
    metadata,
    publish,
    release,
    tables,
)

from pipeline.errors import ReleaseError
from pipeline.releases import row_files
from pipeline.releases.audit_result import AuditResult
from pipeline.releases.published_rows import PublishedRow, rows_table
from pipeline.releases.versions import read_manifest, verify
from schemas.manifest import Absence, AbsentLabel
from schemas.task import Input, Target, Task
from schemas.tasks.invoice import Invoice


# --- loading ----------------------------------------------------------------------------------
def test_a_version_loads_with_plain_datasets(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    manifest = publish(tmp_path / "1.0.0", tables(), release())
    loaded = load(tmp_path / "1.0.0", tmp_path / "cache")
    assert {split: len(rows) for split, rows in loaded.items()} == {"train": 20, "test": 10}
    assert loaded["train"][1] == {
        "id": "train0001",
        "prompt": [
            {"role": "system", "content": "Name the kind of this contract clause."},
            {"role": "user", "content": "Clause 1 of the train agreement — § 1"},
        ],
        "completion": [{"role": "assistant", "content": "term"}],
        "fields": {"clause": "Clause 1 of the train agreement — § 1", "kind": "term"},
        "source": "contracts",
        "license": "CC-BY-4.0",
        "label_source": "human",
        "group": "train0000",
        "tokens": 12,
    }
    assert manifest == read_manifest(tmp_path / "1.0.0")
    assert caplog.messages == []


def test_an_empty_split_is_left_out_and_the_card_says_so(tmp_path: Path) -> None:
    manifest = publish(tmp_path / "1.0.0", tables(test=0), release())
    assert list(manifest.splits) == ["train"]
    assert list(load(tmp_path / "1.0.0", tmp_path / "cache")) == ["train"]
    assert "Without rows, and therefore without a file: `test`." in (tmp_path / "1.0.0" / "README.md").read_text()


def test_two_datasets_of_one_version_number_are_not_mixed_up_in_one_cache(tmp_path: Path) -> None:
    for name, kind in (("a", "term"), ("b", "renewal")):
        publish(tmp_path / name / "1.0.0", {"train": rows_table(ContractClause, clauses("x", 5, kind))}, release())
    for name, kind in (("a", "term"), ("b", "renewal"), ("a", "term")):
        loaded = load(tmp_path / name / "1.0.0", tmp_path / "cache")
        assert {fields["kind"] for fields in loaded["train"]["fields"]} == {kind}


def test_a_version_concatenates_with_ordinary_data(tmp_path: Path) -> None:
    publish(tmp_path / "1.0.0", tables(), release())
    loaded = load(tmp_path / "1.0.0", tmp_path / "cache")
    ordinary = datasets.Dataset.from_list([{"id": "mine", "tokens": 3, "fields": {"clause": "c", "kind": "term"}}])
    columns = ["id", "tokens", "fields"]
    both = datasets.concatenate_datasets([loaded["train"].select_columns(columns), ordinary, loaded["test"]])
    assert both[20]["id"] == "mine"
    assert both[30]["fields"]["kind"] == "term"


def test_columns_keep_their_types_where_every_value_is_null(tmp_path: Path) -> None:
    by_split = {
        "train": rows_table(Invoice, [invoice("a"), invoice("b")]),
        "test": rows_table(Invoice, [invoice("c", due_date="2026-03-01", purchase_order="PO 1", total=7)]),
    }
    publish(tmp_path / "1.0.0", by_split, release(task=Invoice))
    loaded = load(tmp_path / "1.0.0", tmp_path / "cache")
    assert loaded["train"].features == loaded["test"].features
    assert loaded["train"][0]["fields"]["due_date"] is None
    assert loaded["test"][0]["fields"] == {
        "text": "Brick & Co bills 12.50",
        "vendor": "Brick & Co",
        "invoice_number": "7",
        "total": 7.0,
        "currency": "EUR",
        "due_date": "2026-03-01",
        "purchase_order": "PO 1",
    }


class Everything(Task):
    """Fill in all of it."""

    text: Input[str]
    details: Input[dict[str, int] | None] = None
    count: Target[int | None] = None
    share: Target[float | None] = None
    yes: Target[bool | None] = None
    tags: Target[list[str]]


def everything(**values: Any) -> PublishedRow:
    inputs = {"text": "t", "details": values.pop("details", None)}
    return PublishedRow("r1", inputs, Everything.task_canonical(values), "s", "MIT", "human", "r1", None)


def test_every_type_of_a_task_has_a_column_type() -> None:
    table = rows_table(Everything, [everything(count=3, share=1, yes=True, tags=["a", "b"], details={"b": 2, "a": 1})])
    assert {field.name: str(field.type) for field in table.schema.field("fields").type} == {
        "text": "string",
        "details": "string",
        "count": "int64",
        "share": "double",
        "yes": "bool",
        "tags": "list<item: string>",
    }
    assert table["fields"].to_pylist() == [
        {"text": "t", "details": '{"b":2,"a":1}', "count": 3, "share": 1.0, "yes": True, "tags": ["a", "b"]}
    ]
    assert rows_table(Everything, []).schema == rows_table(Everything, [everything()]).schema == table.schema


def test_an_integer_beyond_64_bits_is_refused_with_its_task() -> None:
    with pytest.raises(ReleaseError, match=r"^A value does not fit the columns of Everything: .*; fix the row"):
        rows_table(Everything, [everything(count=2**70)])


# --- the same bytes ---------------------------------------------------------------------------
@pytest.fixture
def cpu_count() -> Iterator[None]:
    before = pa.cpu_count()
    yield
    pa.set_cpu_count(before)


@pytest.mark.usefixtures("cpu_count")
def test_a_version_is_the_same_bytes_for_any_order_of_rows_and_number_of_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_files, "ROWS_AT_ONCE", 64)
    rng = random.Random(1)
    rows = clauses("train", 300)
    found = []
    for threads in (1, 2, 7):
        rng.shuffle(rows)
        pa.set_cpu_count(threads)
        version = tmp_path / str(threads) / "1.0.0"
        publish(version, {"train": rows_table(ContractClause, rows)}, release())
        found.append(files(version))
    assert found[0] == found[1] == found[2]
    assert pq.ParquetFile(version / read_manifest(version).splits["train"].file).num_row_groups == 5


def test_a_version_is_the_same_bytes_whatever_the_memory_layout_of_its_rows(tmp_path: Path) -> None:
    whole = tables()["train"]
    pieces = pa.concat_tables([whole.slice(at, 7) for at in range(0, whole.num_rows, 7)])
    one, other = (
        publish(tmp_path / version, {"train": table}, release()).splits["train"]
        for version, table in (("1.0.0", whole), ("1.1.0", pieces))
    )
    assert one == other


def test_the_content_digest_does_not_depend_on_the_parquet_writer(tmp_path: Path) -> None:
    manifest = publish(tmp_path / "1.0.0", tables(), release())
    assert manifest.digest == content_digest({**tables(), "empty": rows_table(ContractClause, [])})
    rewritten = {}
    for split, table in tables().items():
        pq.write_table(table, tmp_path / "other.parquet", compression="gzip", row_group_size=3, version="1.0")
        rewritten[split] = pq.read_table(tmp_path / "other.parquet")
    assert content_digest(rewritten) == manifest.digest
    # Pinned: a version that was published long ago must still verify.
    assert manifest.digest == "sha256:c4224194c47f920cdc9784d4e61b3ff4a47d08c0847260e076e4216ef3b61e84"


def test_the_digest_changes_with_any_value_split_or_row() -> None:
    rows = clauses("train", 3)
    table = rows_table(ContractClause, rows)
    digests = {
        content_digest({"train": table}),
        content_digest({"test": table}),
        content_digest({"train": rows_table(ContractClause, rows[:2])}),
        content_digest({"train": rows_table(ContractClause, [*rows, rows[0]])}),
        content_digest({"train": rows_table(ContractClause, clauses("train", 3, "renewal"))}),
        content_digest({"train": table.slice(0, 1), "test": table.slice(1)}),
        content_digest({"train": table.slice(0, 2), "test": table.slice(2)}),
    }
    assert len(digests) == 7


# --- manifest and card ------------------------------------------------------------------------
def test_the_manifest_counts_what_was_published(tmp_path: Path) -> None:
    manifest = publish(tmp_path / "1.0.0", tables(), release(), {"report.html": b"<p>report"})
    assert manifest.tokens == 30 * 12
    assert manifest.label_sources == {"human": 19, "source": 11}
    assert manifest.licenses == {"contracts": "CC-BY-4.0"}
    assert (manifest.kind, manifest.metric, manifest.task) == ("classification", "accuracy", "clauses.py:It")
    assert manifest.files["report.html"] == hashlib.sha256(b"<p>report").hexdigest()
    assert set(files(tmp_path / "1.0.0")) == {*manifest.files, *(split.file for split in manifest.splits.values())}
    for split, file in manifest.splits.items():
        assert file.file == f"data/{split}-00000-of-00001-{file.content[:16]}.parquet"
        assert file.bytes == (tmp_path / "1.0.0" / file.file).stat().st_size


def test_the_manifest_says_where_the_rows_come_from_and_what_is_wrong_with_them(tmp_path: Path) -> None:
    absent = AbsentLabel(label="term", splits=["test"], groups=1, reason=Absence.TOO_FEW_GROUPS, why="few")
    told = replace(
        release(), previous="0.9.0", facts=facts(unreviewed=3, absent=[absent], inputs={"records": 4, "decisions": 9})
    )
    manifest = publish(tmp_path / "1.0.0", tables(), told)
    assert manifest == read_manifest(tmp_path / "1.0.0")
    assert (manifest.name, manifest.version, manifest.previous) == ("clauses", "1.0.0", "0.9.0")
    assert (manifest.run, manifest.goldleaf, manifest.created_at) == (told.run, told.goldleaf, told.created_at)
    assert (manifest.unreviewed, manifest.absent) == (3, [absent])
    assert (manifest.inputs, manifest.funnel) == ({"records": 4, "decisions": 9}, told.facts.funnel)
    assert (manifest.input_fields, manifest.target_fields) == (["clause"], ["kind"])
    assert manifest.task_digest == ContractClause.task_digest()
    assert manifest.encoding == told.dataset.measure.encoding != ""


def test_a_first_version_without_doubtful_rows_says_so(tmp_path: Path) -> None:
    manifest = publish(tmp_path / "1.0.0", tables(), release())
    assert (manifest.unreviewed, manifest.absent, manifest.previous) == (0, [], None)


def test_rows_whose_tokens_nobody_counted_add_none(tmp_path: Path) -> None:
    rows = [replace(row, tokens=None if at % 2 else 12) for at, row in enumerate(clauses("train", 10))]
    assert publish(tmp_path / "1.0.0", {"train": rows_table(ContractClause, rows)}, release()).tokens == 5 * 12


def test_no_file_beside_the_rows_takes_the_card_s_place(tmp_path: Path) -> None:
    publish(tmp_path / "1.0.0", tables(), release(), {"README.md": b"mine", "notes.txt": b"mine"})
    found = files(tmp_path / "1.0.0")
    assert found["README.md"].startswith(b"---") and found["notes.txt"] == b"mine"
    assert verify(tmp_path / "1.0.0").problems == ()


def test_the_manifest_names_no_folder_of_the_machine_and_no_key_of_a_url(tmp_path: Path) -> None:
    sources = [
        {"name": "near", "path": "/home/me/exports/*.csv"},
        {"name": "far", "path": "https://me:opensesame@example.org/rows.jsonl?key=opensesame", "auth": "opensesame"},
        {"name": "here", "path": "rows/a.csv"},
    ]
    config = release(sources=sources, finetune={"base_model": "/home/me/models/tiny"})
    manifest = publish(tmp_path / "1.0.0", tables(), config)
    assert [source["path"] for source in manifest.config["sources"]] == [
        "*.csv",
        "https://example.org/rows.jsonl",
        "rows/a.csv",
    ]
    assert manifest.config["finetune"]["base_model"] == "tiny"
    for file in (tmp_path / "1.0.0").rglob("*.*"):
        assert b"opensesame" not in file.read_bytes() and b"/home/me" not in file.read_bytes()


def test_the_schema_is_the_task_s_json_schema(tmp_path: Path) -> None:
    publish(tmp_path / "1.0.0", tables(), release())
    assert yaml.safe_load((tmp_path / "1.0.0" / "schema.json").read_text()) == ContractClause.model_json_schema()


def test_the_card_has_what_the_hub_reads_and_the_line_that_pins_the_version(tmp_path: Path) -> None:
    config = {"title": "Clauses", "description": "Contracts, cut up.", "language": ["en", "de"]}
    manifest = publish(tmp_path / "1.2.0", tables(), release(release=config, split={"group_by": ["contract"]}))
    head = metadata(tmp_path / "1.2.0")
    assert head["license"] == "cc-by-4.0"
    assert (head["language"], head["pretty_name"]) == (["en", "de"], "Clauses")
    assert head["size_categories"] == ["n<1K"]
    assert head["task_categories"] == ["text-classification", "text-generation"]
    assert head["annotations_creators"] == ["expert-generated", "found"]
    assert [file["path"] for file in head["configs"][0]["data_files"]] == [f.file for f in manifest.splits.values()]
    card = (tmp_path / "1.2.0" / "README.md").read_text()
    assert f"\n```\n{manifest.reference}\n```" in card
    assert "| train | 20 | 66.7% |" in card
    assert "nor are rows with the same `contract`" in card
    assert "Annotators entered or confirmed 19 of 30 answers." in card
    assert "gold source" not in card


def test_the_card_says_what_the_audit_takes_as_right(tmp_path: Path) -> None:
    audit = AuditResult(checked=16, wrong=1, rows=30, rate=0.04, low=0.01, high=0.1)
    publish(tmp_path / "1.0.0", tables(), replace(release(), facts=facts(audit=audit)))
    card = (tmp_path / "1.0.0" / "README.md").read_text()
    assert "16 were drawn at random and checked; 1 was wrong and is corrected or removed." in card
    assert "(95% interval: 1.0% to 10.0%). The 19 that annotators decided are taken as right." in card


def test_the_card_tells_answers_of_gold_sources_from_those_of_annotators(tmp_path: Path) -> None:
    manifest = publish(tmp_path / "1.0.0", tables(), replace(release(), facts=facts(from_gold=4)))
    assert (manifest.label_sources["human"], manifest.from_gold) == (19, 4)
    card = (tmp_path / "1.0.0" / "README.md").read_text()
    assert "Annotators entered or confirmed 15 of 30 answers; 4 more are from gold sources." in card
    assert "| human | an annotator entered or confirmed it | 15 |" in card
    assert "| human | its gold source is trusted like an annotator | 4 |" in card
    assert "`human`: an annotator entered or confirmed it, or its gold source is trusted like an annotator |" in card
    assert "No annotator has reviewed 11 of the answers, and no gold source has them:" in card


@pytest.mark.parametrize(
    ("whole", "sources", "expected"),
    [
        ("", ["MIT", "MIT"], {"license": "mit"}),
        ("", ["MIT", "CC0-1.0"], {"license": ["cc0-1.0", "mit"]}),
        ("Apache-2.0", ["MIT", "unknown"], {"license": "apache-2.0"}),
        ("", ["ours, all rights reserved", "MIT"], {"license": ["mit", "other"]}),
        ("Proprietary", ["MIT"], {"license": "other", "license_name": "Proprietary"}),
    ],
)
def test_the_card_s_license_is_one_that_the_hub_knows(
    tmp_path: Path, whole: str, sources: Sequence[str], expected: Mapping[str, Any]
) -> None:
    rows = [
        PublishedRow(f"r{at}", {"clause": "c"}, {"kind": "term"}, f"s{at}", name, "source", f"r{at}", 1)
        for at, name in enumerate(sources)
    ]
    publish(tmp_path / "1.0.0", {"train": rows_table(ContractClause, rows)}, release(release={"license": whole}))
    head = metadata(tmp_path / "1.0.0")
    assert {key: head[key] for key in expected} == expected
