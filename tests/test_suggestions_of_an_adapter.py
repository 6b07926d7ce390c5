"""With `suggest.adapter`, an own adapter answers: held to the form, once for each row, into the same ledger."""

import json
import shutil
import sqlite3
from pathlib import Path

import polars as pl
from assessed import a_record
from chat_templates import TOKENIZER
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from small_models import save_small_model
from support import row, write_dataset
from terminal import Terminal
from test_suggestions import decisions

from pipeline.finetuning.adapters import RECORD, WEIGHTS
from pipeline.finetuning.base_model import load_base
from pipeline.finetuning.training_libraries import quiet

ROWS = [row(1, "Where is my parcel?", None), row(2, "Why was I charged twice?", "billing")]
SECTION = "suggest: {adapter: r1}\nreview: {budget: 10, audit: 0.0}\n"


LATEST = SECTION.replace("r1", "latest")


def an_adapter(home: Path, base: Path, run: str = "r1", hours: int = 0, version: str = "1.2.0") -> None:
    """An adapter that has learned nothing, on a base model of a few weights."""
    save_small_model(base, eos_token_id=TOKENIZER.eos_token_id)
    loaded = load_base(str(base))
    lora = LoraConfig(r=2, target_modules=["q_proj"], revision=loaded.revision)
    lora.base_model_name_or_path = loaded.name
    folder = home / "questions" / "models" / run
    with quiet():
        get_peft_model(loaded.model, lora).save_pretrained(folder)
    record = a_record(run, base=str(base), hours=hours)
    lineage = record.lineage.model_copy(update={"version": version})
    record = record.model_copy(update={"held_to_form": True, "max_new_tokens": 16, "lineage": lineage})
    (folder / RECORD).write_text(record.model_dump_json())


def test_an_adapter_fills_in_what_annotators_see_and_is_asked_once(tmp_path: Path) -> None:
    write_dataset(tmp_path, ROWS, SECTION)
    an_adapter(tmp_path / "home", tmp_path / "base")
    terminal = Terminal(tmp_path)
    first = terminal.json("curate")["suggested"]
    again = terminal.json("curate")["suggested"]
    assert (first["model"], first["answered"], first["waiting"]) == ("adapter r1", 2, 0)
    assert (again["known"], again["calls"], again["total_calls"], again["total_cost"]) == (2, 0, 2, 0)
    answers = [one.model_answer for one in decisions(tmp_path).values()]
    assert all(said and said["topic"] in ("billing", "delivery", "returns") for said in answers)


def test_a_dry_run_counts_answers_as_long_as_the_adapter_writes_them(tmp_path: Path) -> None:
    """Not as many tokens as a request to an endpoint allows: the answer of a choice was counted as 512."""
    write_dataset(tmp_path, ROWS, SECTION)
    an_adapter(tmp_path / "home", tmp_path / "base")
    terminal = Terminal(tmp_path)
    terminal.goldleaf("curate", "--no-suggest")
    found = terminal.json("suggest", "--dry-run")["estimated"]
    assert (found["calls"], found["tokens_out"]) == (2, 2 * 16) and found["tokens_valid"] <= 32


def test_an_adapter_that_is_not_there_is_a_line_and_stops_nothing(tmp_path: Path) -> None:
    write_dataset(tmp_path, ROWS, SECTION)
    shown = Terminal(tmp_path).goldleaf("curate").stdout
    assert f"\nThere is no adapter {tmp_path}/home/questions/models/r1; name another run, or fine-tune again\n" in shown


def test_latest_is_the_newest_adapter_and_other_weights_are_asked_anew(tmp_path: Path) -> None:
    write_dataset(tmp_path, ROWS, LATEST)
    an_adapter(tmp_path / "home", tmp_path / "base")
    terminal = Terminal(tmp_path)
    first = terminal.json("curate")["suggested"]
    an_adapter(tmp_path / "home", tmp_path / "base", "r2", hours=1)
    other_weights(tmp_path, "r2")
    second = terminal.json("curate")["suggested"]
    again = terminal.json("curate")["suggested"]
    assert [(one["model"], one["answered"], one["known"]) for one in (first, second, again)] == [
        ("adapter r1", 2, 0),
        ("adapter r2", 2, 0),
        ("adapter r2", 0, 2),
    ]
    assert all(one.model_answer for one in decisions(tmp_path).values())


def other_weights(folder: Path, run: str) -> None:
    """Let an adapter answer as if it had learned something else: the rank's first weights are what they were."""
    file = folder / "home" / "questions" / "models" / run / WEIGHTS
    tensors = load_file(file)
    save_file({name: tensor + 0.25 for name, tensor in tensors.items()}, file, metadata={"format": "pt"})


def judged_again(folder: Path, run: str, hours: int, version: str = "1.2.0") -> None:
    """The same adapter in the folder of another run, as a new margin or price leaves it."""
    models = folder / "home" / "questions" / "models"
    shutil.copytree(models / "r1", models / run)
    record = json.loads((models / run / RECORD).read_text())
    later = a_record(run, hours=hours).created_at.isoformat()
    record |= {"run": run, "created_at": later, "lineage": record["lineage"] | {"version": version}}
    (models / run / RECORD).write_text(json.dumps(record))


def test_another_judgement_of_the_same_weights_is_asked_nothing_again(tmp_path: Path) -> None:
    write_dataset(tmp_path, ROWS, LATEST)
    an_adapter(tmp_path / "home", tmp_path / "base")
    terminal = Terminal(tmp_path)
    terminal.json("curate")
    before = {name: one.model_answer for name, one in decisions(tmp_path).items()}
    judged_again(tmp_path, "r2", hours=1)
    estimated = terminal.json("suggest", "--dry-run")["estimated"]
    again = terminal.json("suggest")["suggested"]
    assert (estimated["model"], estimated["known"], estimated["calls"]) == ("adapter r2", 2, 0)
    assert (again["model"], again["known"], again["calls"], again["total_calls"]) == ("adapter r2", 2, 0, 2)
    shutil.rmtree(tmp_path / "home" / "questions" / "models" / "r1")
    assert terminal.json("curate")["suggested"]["known"] == 2, "either folder may be deleted"
    assert {name: one.model_answer for name, one in decisions(tmp_path).items()} == before


def test_looking_back_at_an_older_version_does_not_make_its_adapter_the_latest(tmp_path: Path) -> None:
    write_dataset(tmp_path, ROWS, LATEST)
    an_adapter(tmp_path / "home", tmp_path / "base", "new", version="1.10.0")
    an_adapter(tmp_path / "home", tmp_path / "base", "back", hours=1, version="1.9.0")
    terminal = Terminal(tmp_path)
    assert terminal.json("curate")["suggested"]["model"] == "adapter new"
    [suggest] = [one for one in terminal.json("check") if one["what"] == "suggest"]
    assert suggest["detail"].startswith("adapter new, trained on ")
    terminal.goldleaf("merge", "latest", tmp_path / "merged")
    assert json.loads((tmp_path / "merged" / RECORD).read_text())["run"] == "new"


def test_what_an_adapter_has_said_stays_when_its_folder_is_gone_and_no_call_is_promised(tmp_path: Path) -> None:
    write_dataset(tmp_path, ROWS, LATEST)
    an_adapter(tmp_path / "home", tmp_path / "base")
    terminal = Terminal(tmp_path)
    terminal.json("curate")
    shutil.rmtree(tmp_path / "home" / "questions" / "models")
    assert terminal.error("suggest", "--dry-run").startswith("there is no adapter yet")
    assert terminal.json("curate")["suggested"]["why"].startswith("there is no adapter yet")
    assert all(one.model_answer for one in decisions(tmp_path).values())
    assert terminal.json("status")["suggestions"]["model"] == "adapter r1"


def test_runs_that_only_heard_a_model_are_listed_as_suggest_with_the_run_of_its_adapter(tmp_path: Path) -> None:
    write_dataset(tmp_path, ROWS, LATEST)
    an_adapter(tmp_path / "home", tmp_path / "base")
    terminal = Terminal(tmp_path)
    terminal.json("curate", "--no-suggest")
    terminal.json("suggest")
    runs = [(one["verb"], one["model"]) for one in terminal.json("status")["runs"]]
    assert runs == [("suggest", "adapter r1"), ("curate", "")]
    shown = terminal.goldleaf("status").stdout
    assert "suggest (adapter r1)" in shown and "suggestions of adapter r1: 2 answers" in shown


def test_a_ledger_of_an_older_goldleaf_is_read(tmp_path: Path) -> None:
    write_dataset(tmp_path, ROWS, LATEST)
    an_adapter(tmp_path / "home", tmp_path / "base")
    terminal = Terminal(tmp_path)
    terminal.json("curate")
    with sqlite3.connect(tmp_path / "home" / "questions" / "suggestions" / "calls.sqlite") as ledger:
        ledger.execute("DROP TABLE adapters")
        ledger.execute("CREATE TABLE choices (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID")
        ledger.execute("INSERT INTO choices VALUES ('latest', 'r1')")
    assert terminal.json("curate")["suggested"]["known"] == 2


def test_without_an_adapter_latest_is_a_line_and_stops_nothing(tmp_path: Path) -> None:
    write_dataset(tmp_path, ROWS, LATEST)
    shown = Terminal(tmp_path).goldleaf("curate").stdout
    assert "there is no adapter yet; `goldleaf finetune` trains the first one" in shown


def test_rows_that_an_adapter_was_trained_on_are_not_asked_about(tmp_path: Path) -> None:
    topics = ("billing", "delivery", "returns")
    write_dataset(tmp_path, [row(n, f"lamp{n} chair{n} desk{n} broke{n}", topics[n % 3]) for n in range(30)], LATEST)
    terminal = Terminal(tmp_path)
    terminal.goldleaf("curate", "--no-suggest")
    version = Path(terminal.json("release")["path"])
    [train] = version.glob("data/train-*.parquet")
    learned = set(pl.read_parquet(train, columns=["id"])["id"])
    an_adapter(tmp_path / "home", tmp_path / "base", version=version.name)
    terminal.json("curate")
    asked = {one.record_id for one in decisions(tmp_path).values() if one.model_answer}
    every = {one.record_id for one in decisions(tmp_path).values()}
    assert learned and asked == every - learned


def test_the_help_of_suggest_names_both_kinds_of_models(tmp_path: Path) -> None:
    said = " ".join(Terminal(tmp_path).goldleaf("suggest", "--help").stdout.split())
    assert "suggest.endpoint" in said and "suggest.adapter: latest" in said
