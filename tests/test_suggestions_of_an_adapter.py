"""With `suggest.adapter`, an own adapter answers: held to the form, once for each row, into the same ledger."""

from pathlib import Path

from assessed import a_record
from chat_templates import TEMPLATES, TOKENIZER
from peft import LoraConfig, get_peft_model
from small_models import save_small_model
from support import row, write_dataset
from terminal import Terminal
from test_suggestions import decisions

from pipeline.finetuning.adapters import RECORD
from pipeline.finetuning.base_model import load_base, quiet

ROWS = [row(1, "Where is my parcel?", None), row(2, "Why was I charged twice?", "billing")]
SECTION = "suggest: {adapter: r1}\nreview: {budget: 10, audit: 0.0}\n"


def an_adapter(home: Path, base: Path) -> None:
    """An adapter that has learned nothing, on a base model of a few weights."""
    TOKENIZER.chat_template = TEMPLATES["smollm2"]
    save_small_model(base, eos_token_id=TOKENIZER.eos_token_id)
    loaded = load_base(str(base))
    lora = LoraConfig(r=2, target_modules=["q_proj"], revision=loaded.revision)
    lora.base_model_name_or_path = loaded.name
    folder = home / "questions" / "models" / "r1"
    with quiet():
        get_peft_model(loaded.model, lora).save_pretrained(folder)
    record = a_record("r1", base=str(base)).model_copy(update={"held_to_form": True, "max_new_tokens": 16})
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


def test_an_adapter_that_is_not_there_is_a_line_and_stops_nothing(tmp_path: Path) -> None:
    write_dataset(tmp_path, ROWS, SECTION)
    shown = Terminal(tmp_path).goldleaf("curate").stdout
    [line] = [line for line in shown.splitlines() if "suggestions wait" in line]
    assert line.startswith("2 suggestions wait: ") and "models/r1 is not a finished adapter" in line
