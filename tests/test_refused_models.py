"""What a base model cannot do is said of the model before a step is trained; status advises nothing that is refused."""

from pathlib import Path

import pytest
import torch
from chat_templates import TOKENIZER
from small_models import save_small_model
from support import row, write_dataset
from terminal import Terminal
from transformers import BertConfig, BertForMaskedLM

from pipeline.errors import TrainingError
from pipeline.finetuning.base_model import load_base
from pipeline.ladder.kept_answers import UNFINISHED

TOPICS = ("billing", "delivery", "returns")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    """Questions published as 1.0.0, and a small model."""
    folder = tmp_path_factory.mktemp("shop")
    save_small_model(folder / "model")
    settings = f"finetune: {{base_model: {folder / 'model'}, batch_size: 4, epochs: 1, max_length: 128}}\n"
    rows = [row(n, f"lamp{n} chair{n} desk{n} broke{n}", TOPICS[n % 3]) for n in range(60)]
    write_dataset(folder, rows, "review: {budget: 0, audit: 0.0}\n" + settings)
    terminal = Terminal(folder)
    terminal.goldleaf("curate")
    terminal.goldleaf("release")
    return terminal


def edited(shop: Terminal, old: str, new: str, file: str = "dataset.yaml") -> str:
    """Change a file, and return it as it was."""
    before = (shop.folder / file).read_text()
    assert old in before
    (shop.folder / file).write_text(before.replace(old, new))
    return before


@pytest.mark.parametrize(
    ("lora", "said"),
    [
        ("target_modules: [q_proj, v_porj]", "names v_porj, which {model} does not have; did you mean v_proj"),
        ("target_modules: '.*q_porj'", "names .*q_porj, which {model} does not have; did you mean"),
        ("modules_to_save: [lm_haed]", "names lm_haed, which {model} does not have; did you mean lm_head?"),
    ],
    ids=["one of several", "a pattern", "to save"],
)
def test_a_misspelled_module_is_named_with_near_ones_without_a_step_of_training(
    shop: Terminal, lora: str, said: str
) -> None:
    before = edited(shop, "batch_size: 4", f"batch_size: 4, lora: {{{lora}}}")
    try:
        error = shop.goldleaf("preflight", "questions@1.0.0", "--no-timing", exit_code=1).stderr.splitlines()[-1]
    finally:
        (shop.folder / "dataset.yaml").write_text(before)
    assert f"finetune.lora.{lora.split(':')[0]} {said.format(model=shop.folder / 'model')}" in error


def test_an_encoder_is_refused_as_a_base_model(tmp_path: Path) -> None:
    TOKENIZER.save_pretrained(tmp_path)
    torch.manual_seed(7)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    BertForMaskedLM(BertConfig(vocab_size=len(TOKENIZER), **sizes)).save_pretrained(tmp_path)
    with pytest.raises(TrainingError) as refused:
        load_base(str(tmp_path))
    assert str(refused.value) == (
        f"The base model '{tmp_path}' is an encoder (bert), which cannot write: it reads what comes after a word, too; "
        "set a chat model in finetune.base_model"
    )


def test_of_a_broken_chat_template_no_row_is_to_be_corrected(shop: Terminal) -> None:
    template = shop.folder / "model" / "chat_template.jinja"
    before = template.read_text()
    template.write_text("{% for m in messages %}{{ m.content")
    try:
        error = shop.goldleaf("preflight", "questions@1.0.0", "--no-timing", exit_code=1).stderr.splitlines()[-1]
    finally:
        template.write_text(before)
    assert "cannot render a conversation" in error
    assert "whatever the rows say; correct the model's chat_template.jinja, or set another finetune.base_model" in error
    assert "correct the rows" not in error


def test_status_advises_to_go_on_with_a_fine_tuning_only_where_finetune_takes_the_version(shop: Terminal) -> None:
    left = shop.home / "questions" / "models" / UNFINISHED / "key" / "answers.json"
    left.parent.mkdir(parents=True)
    left.write_text("{}")
    assert shop.json("status")["next_step"].endswith("to go on with the fine-tuning that was interrupted")
    edited(shop, '"returns"', '"returns", "praise"', "task.py")
    shop.goldleaf("curate")
    assert "has other fields, choices or types than when" in shop.error("finetune")
    assert "finetune" not in shop.json("status")["next_step"]
