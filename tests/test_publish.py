"""Published versions load anywhere, never change, never appear in part, and every damaged byte is named."""

import errno
import fcntl
import hashlib
import multiprocessing
import os
import random
import shutil
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import Damaged, ReleaseError, VersionExists
from pipeline.releases import publish as publishing
from pipeline.releases.publish import ReleaseInputs, publish
from pipeline.releases.published_rows import PublishedRow, content_digest, rows_table
from pipeline.releases.versions import (
    find_version,
    list_versions,
    next_version,
    parse_version,
    read_manifest,
    sealed,
    verify,
)
from pipeline.state.atomic import opened
from schemas.dataset import Dataset
from schemas.manifest import Absence, AbsentLabel, Funnel, Manifest
from schemas.task import Input, Target, Task
from schemas.tasks.contract_clause import ClauseKind
from schemas.tasks.invoice import Invoice

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["pipeline.releases.publish", "datasets"])


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
        funnel=Funnel(raw=40, superseded=3, withdrawn=2, accepted=30, rejected=1, duplicate=3, review=1),
        inputs={"records": 4},
    )


def tables(train: int = 20, test: int = 10) -> dict[str, pa.Table]:
    return {
        "train": rows_table(ContractClause, clauses("train", train)),
        "test": rows_table(ContractClause, clauses("test", test)),
    }


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
        {"text": "t", "details": '{"a":1,"b":2}', "count": 3, "share": 1.0, "yes": True, "tags": ["a", "b"]}
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
    monkeypatch.setattr(publishing, "ROWS_AT_ONCE", 64)
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
    told = replace(release(), previous="0.9.0", unreviewed=3, absent=[absent], inputs={"records": 4, "decisions": 9})
    manifest = publish(tmp_path / "1.0.0", tables(), told)
    assert manifest == read_manifest(tmp_path / "1.0.0")
    assert (manifest.name, manifest.version, manifest.previous) == ("clauses", "1.0.0", "0.9.0")
    assert (manifest.run, manifest.goldleaf, manifest.created_at) == (told.run, told.goldleaf, told.created_at)
    assert (manifest.unreviewed, manifest.absent) == (3, [absent])
    assert (manifest.inputs, manifest.funnel) == ({"records": 4, "decisions": 9}, told.funnel)
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
        {"name": "far", "path": "https://me:opensesame@example.org/rows.jsonl?key=opensesame"},
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


# --- versions ---------------------------------------------------------------------------------
def test_a_version_never_changes(tmp_path: Path) -> None:
    publish(tmp_path / "1.2.0", tables(), release())
    before = files(tmp_path)
    with pytest.raises(VersionExists) as caught:
        publish(tmp_path / "1.2.0", tables(train=5), release())
    assert str(caught.value) == ("Version 1.2.0 of 'clauses' already exists and never changes; pass --version 1.3.0.")
    assert files(tmp_path) == before


@pytest.mark.parametrize("text", ["1.2", "v1.2.0", "1.2.0-rc1", "01.2.0", "latest", "1.2.0\n", ""])
def test_a_version_is_three_numbers(tmp_path: Path, text: str) -> None:
    with pytest.raises(ReleaseError) as caught:
        parse_version(text)
    assert str(caught.value) == f"'{text}' is not a version; use three numbers such as 1.2.0"


def test_not_even_an_empty_folder_in_a_version_s_place_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "1.0.0").mkdir()
    with pytest.raises(Damaged, match=r"1\.0\.0 has no manifest\.json; restore the folder from a copy$"):
        publish(tmp_path / "1.0.0", tables(), release())
    assert files(tmp_path) == {}


def test_a_folder_whose_name_is_not_a_version_is_not_published(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match=r"^'latest' is not a version; use three numbers such as 1\.2\.0$"):
        publish(tmp_path / "latest", tables(), release())
    assert list(tmp_path.iterdir()) == []


def test_a_release_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match=r"^'clauses' has no accepted rows to publish; see `goldleaf status`$"):
        publish(tmp_path / "1.0.0", tables(0, 0), release())
    assert list(tmp_path.iterdir()) == []


def test_versions_are_listed_by_number_and_nothing_else_is(tmp_path: Path) -> None:
    assert list_versions(tmp_path / "nowhere") == []
    assert next_version([]) == "1.0.0"
    for version in ("1.10.0", "1.9.0", "0.1.0"):
        publish(tmp_path / version, tables(2, 2), release())
    shutil.copytree(tmp_path / "1.9.0", tmp_path / ".staging-1")
    shutil.copytree(tmp_path / "1.9.0", tmp_path / "copy")
    (tmp_path / "2.0.0").write_text("no folder")
    listed = list_versions(tmp_path)
    assert [manifest.version for manifest in listed] == ["0.1.0", "1.9.0", "1.10.0"]
    assert next_version([manifest.version for manifest in listed]) == "1.11.0"


def test_a_reference_finds_its_folder(tmp_path: Path) -> None:
    for version in ("1.10.0", "1.9.0"):
        publish(tmp_path / version, tables(2, 2), release())
    assert find_version(tmp_path, "clauses@latest") == tmp_path / "1.10.0"
    assert find_version(tmp_path, "clauses@1.9.0") == tmp_path / "1.9.0"


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        ("clauses", "'clauses' names no version; use clauses@latest or clauses@1.0.0"),
        ("clauses@", "'clauses@' names no version; use clauses@latest or clauses@1.0.0"),
        ("clauses@newest", "'newest' is not a version; use three numbers such as 1.2.0"),
        ("clauses@2.0.0", "'clauses' has no version 2.0.0; it has 1.0.0, 1.1.0"),
    ],
)
def test_a_wrong_reference_says_what_to_write(tmp_path: Path, reference: str, text: str) -> None:
    for version in ("1.1.0", "1.0.0"):
        publish(tmp_path / version, tables(2, 2), release())
    with pytest.raises(ReleaseError) as caught:
        find_version(tmp_path, reference)
    assert str(caught.value) == text


def test_latest_of_nothing_says_how_to_publish(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match=r"^'clauses' has no published version yet; run `goldleaf release`$"):
        find_version(tmp_path, "clauses@latest")


def test_a_manifest_that_cannot_be_read_or_is_gone_is_damage(tmp_path: Path) -> None:
    publish(tmp_path / "1.0.0", tables(2, 2), release())
    (tmp_path / "1.0.0" / "manifest.json").write_text('{"name": "clauses"')
    with pytest.raises(Damaged, match=r"manifest.json cannot be read \(Invalid JSON.*\); restore the folder"):
        list_versions(tmp_path)
    (tmp_path / "1.0.0" / "manifest.json").unlink()
    for read in (read_manifest, verify):
        with pytest.raises(Damaged, match=r"1.0.0 has no manifest.json; restore the folder from a copy$"):
            read(tmp_path / "1.0.0")
        with pytest.raises(ReleaseError, match=r"elsewhere is not a published version: it has no manifest.json$"):
            read(tmp_path / "elsewhere")


# --- verifying --------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("releases") / "1.0.0"
    publish(folder, tables(), release(), {"report.html": b"<p>report"})
    return folder


def test_an_undamaged_version_verifies(published: Path) -> None:
    result = verify(published)
    assert result.problems == ()
    assert result.rows == 30
    assert result.reference == read_manifest(published).reference
    result.require_sound()


@given(data=st.data(), flip=st.integers(1, 255))
def test_one_flipped_byte_anywhere_is_found_and_named(published: Path, data: st.DataObject, flip: int) -> None:
    name = data.draw(st.sampled_from(sorted(files(published))))
    path = published / name
    sound = path.read_bytes()
    position = data.draw(st.integers(0, len(sound) - 1))
    path.write_bytes(bytes([*sound[:position], sound[position] ^ flip, *sound[position + 1 :]]))
    try:
        assert [problem.file for problem in verify(published).problems] == [name]
    finally:
        path.write_bytes(sound)


def test_missing_changed_and_foreign_files_are_all_named(tmp_path: Path) -> None:
    version = tmp_path / "1.0.0"
    manifest = publish(version, tables(), release())
    train, test = (manifest.splits[split].file for split in ("train", "test"))
    (version / train).unlink()
    (version / test).write_bytes(b"PAR1")
    (version / "data" / "notes.txt").write_text("mine")
    result = verify(version)
    assert [str(problem) for problem in result.problems] == sorted(
        [
            "data/notes.txt was not published with this version",
            f"{test} does not have the bytes that were published",
            f"{train} is missing",
        ]
    )
    assert result.rows == 0
    with pytest.raises(Damaged, match=r"^clauses@1.0.0 sha256:\w+ is damaged: data/notes.txt was .*; restore the"):
        result.require_sound()


def test_a_manifest_that_was_edited_is_named_even_where_it_still_makes_sense(tmp_path: Path) -> None:
    publish(tmp_path / "1.0.0", tables(), release())
    path = tmp_path / "1.0.0" / "manifest.json"
    for old, new in (('"raw": 40', '"raw": 41'), ('"raw": 40', '"raw":  40'), ('"run-1"', '"run-2"')):
        sound = path.read_text()
        path.write_text(sound.replace(old, new))
        assert str(verify(tmp_path / "1.0.0").problems[0]).startswith("manifest.json is not as it was published")
        path.write_text(sound)


# --- all or nothing ---------------------------------------------------------------------------
def publish_until(releases: Path, step: int) -> None:
    """Publish, and die by SIGKILL just before the given system call that writes to the disk."""
    left = step

    def dying(call: Any) -> Any:
        def counted(*args: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args)

        return counted

    os.fsync = dying(os.fsync)
    Path.rename = dying(Path.rename)
    publish(releases / "1.0.0", tables(), release(), {"report.html": b"<p>"})


def in_a_process(target: Any, *args: Any) -> int | None:
    process = FORKS.Process(target=target, args=args)
    process.start()
    process.join()
    return process.exitcode


def test_a_killed_publisher_leaves_no_half_version_at_any_point(tmp_path: Path) -> None:
    seen = []
    for step in range(100):
        releases = tmp_path / str(step)
        code = in_a_process(publish_until, releases, step)
        listed = list_versions(releases)
        seen.append((code, len(listed), len(list(releases.glob(".staging-*")))))
        assert all(verify(releases / manifest.version).problems == () for manifest in listed)
        publish(releases / "1.1.0", tables(), release())
        assert list(releases.glob(".staging-*")) == []
        if code == 0:
            break
    # Killed with leftovers, then killed after the version was there, then not killed.
    assert seen == [*[(-signal.SIGKILL, 0, 1)] * (len(seen) - 2), (-signal.SIGKILL, 1, 0), (0, 1, 0)]
    assert len(seen) > 8


def test_the_work_of_a_living_publisher_is_not_collected(tmp_path: Path) -> None:
    (tmp_path / ".staging-dead" / "data").mkdir(parents=True)
    (tmp_path / ".staging-alive").mkdir()
    alive = os.open(tmp_path / ".staging-alive", os.O_RDONLY)
    fcntl.flock(alive, fcntl.LOCK_EX)
    publish(tmp_path / "1.0.0", tables(), release())
    assert [path.name for path in sorted(tmp_path.iterdir())] == [".staging-alive", "1.0.0"]
    os.close(alive)
    publish(tmp_path / "1.1.0", tables(), release())
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["1.0.0", "1.1.0"]


def test_no_publisher_is_taken_for_dead_between_making_its_folder_and_locking_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever collects what nobody has locked, or makes a folder, holds the lock on the folder of all versions."""
    (tmp_path / ".staging-dead").mkdir()
    lock, held = fcntl.flock, 0

    def while_held(descriptor: int, operation: int) -> None:
        nonlocal held
        if Path(f"/proc/self/fd/{descriptor}").readlink().name.startswith(".staging-"):
            held += 1
            with opened(tmp_path) as another, pytest.raises(BlockingIOError):
                lock(another, fcntl.LOCK_EX | fcntl.LOCK_NB)
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", while_held)
    publish(tmp_path / "1.0.0", tables(), release())
    assert held == 2, "to collect the dead one and to lock its own"
    with opened(tmp_path) as another:
        lock(another, fcntl.LOCK_EX | fcntl.LOCK_NB)


def publish_together(releases: Path, barrier: Barrier, rows: int) -> None:
    """Exit with 3 where the other one won; both are ready before either renames."""
    rename = Path.rename

    def together(self: Path, target: Path) -> Path:
        barrier.wait(timeout=60)
        return rename(self, target)

    Path.rename = together
    try:
        publish(releases / "1.0.0", tables(train=rows), release())
    except VersionExists:
        raise SystemExit(3) from None


def test_of_two_publishers_exactly_one_wins(tmp_path: Path) -> None:
    barrier = FORKS.Barrier(2)
    both = [FORKS.Process(target=publish_together, args=(tmp_path, barrier, rows)) for rows in (20, 21)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert sorted(str(process.exitcode) for process in both) == ["0", "3"]
    assert [path.name for path in tmp_path.iterdir()] == ["1.0.0"]
    assert verify(tmp_path / "1.0.0").problems == ()


def test_a_failure_while_publishing_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(manifest: Manifest) -> Manifest:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(publishing, "sealed", full)
    with pytest.raises(OSError, match="No space left"):
        publish(tmp_path / "1.0.0", tables(), release())
    assert list(tmp_path.iterdir()) == []


def test_publishing_leaves_no_folder_open(tmp_path: Path) -> None:
    """Its locks would block the next release, and a long-lived process would run out of files."""
    publish(tmp_path / "1.0.0", tables(), release())
    before = len(list(Path("/proc/self/fd").iterdir()))
    for minor in range(1, 4):
        publish(tmp_path / f"1.{minor}.0", tables(), release())
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_version_that_appears_while_another_one_is_written_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(manifest: Manifest) -> Manifest:
        monkeypatch.undo()
        publish(tmp_path / "1.0.0", tables(train=5), release())
        return sealed(manifest)

    monkeypatch.setattr(publishing, "sealed", slow)
    with pytest.raises(VersionExists, match="already exists and never changes"):
        publish(tmp_path / "1.0.0", tables(), release())
    assert [path.name for path in tmp_path.iterdir()] == ["1.0.0"]
    assert read_manifest(tmp_path / "1.0.0").splits["train"].rows == 5
    assert verify(tmp_path / "1.0.0").problems == ()


def test_a_folder_that_cannot_be_renamed_is_not_a_version_that_exists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(self: Path, target: Path) -> Path:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "rename", denied)
    with pytest.raises(PermissionError, match="Permission denied"):
        publish(tmp_path / "1.0.0", tables(), release())
    assert list(tmp_path.iterdir()) == []


def test_a_version_has_its_name_only_when_all_of_it_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a loss of power could leave a version with empty files."""
    flushed: list[str] = []
    sync = os.fsync

    def noted(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        published = (tmp_path / "1.0.0").exists()
        flushed.append("after" if published else path.name if path.is_dir() else "file")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    manifest = publish(tmp_path / "1.0.0", tables(), release())
    assert flushed.count("file") == len(manifest.files) + len(manifest.splits)
    *_, data, folder, releases = flushed
    assert data == "data" and folder.startswith(".staging-") and releases == "after"
