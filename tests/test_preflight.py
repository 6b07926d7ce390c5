"""Preflight finds what a training would silently do wrong, and is silent about rows and templates that are right."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from model_families import GEMMA, HERMES_CALLS, LLAMA, PHI, QWEN, SMOLLM, SOUND, Family, model_of

from pipeline.finetuning.examples import Example
from pipeline.finetuning.loaded_model import LoadedModel
from pipeline.finetuning.preflight_findings import Finding, Judge, Severity
from pipeline.finetuning.preflight_rows import Measured, Meter, Problem, joined
from pipeline.finetuning.training_rows import reach
from schemas.dataset import Finetune, Fix, Turns
from schemas.message import FunctionCall, Message, Speaker, ToolCall

ERROR, WARNING, NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE
INSTRUCTION = "Name the topic of this question. Answer with one of: billing, delivery, returns."
CONFIG = Finetune(batch_size=2, max_length=200)


def said(role: Speaker, content: str = "", **more: object) -> Message:
    return Message.model_validate({"role": role, "content": content, **more})


def row(number: int, *, asked: str = "", answer: str = "delivery", **more: object) -> Example:
    question = asked or f"Where is parcel {number}?"
    prompt = (said(Speaker.SYSTEM, INSTRUCTION), said(Speaker.USER, question))
    return Example(f"r{number}", prompt, (said(Speaker.ASSISTANT, answer, **more),), {"question": question})


def chat(number: int, *turns: Message) -> Example:
    return Example(f"c{number}", turns[:-1], turns[-1:], {})


ROWS = [row(number) for number in range(120)]


def measured(
    examples: list[Example], loaded: LoadedModel, config: Finetune, *, any_of: bool = False
) -> tuple[Judge, Measured]:
    limit = reach(config, loaded)
    inputs = ("question",) if Fix.SHORTEN in config.fix else None
    meter = Meter(loaded, config.turns, limit, inputs)
    rows = joined([meter.measure(examples[start : start + 50]) for start in range(0, len(examples), 50)])
    return Judge(loaded.name, config, limit, loaded.model.config.max_position_embeddings, any_of), rows


def findings(
    examples: list[Example],
    loaded: LoadedModel,
    config: Finetune = CONFIG,
    split: str = "train",
    *,
    any_of: bool = False,
) -> dict[str, Finding]:
    """By code; the rows are measured in several batches."""
    judge, rows = measured(examples, loaded, config, any_of=any_of)
    found = judge.trained(rows) if split == "train" else judge.asked(rows, split)
    return {finding.code: finding for finding in found}


@pytest.fixture(scope="module")
def smollm() -> LoadedModel:
    return model_of(SMOLLM)


# --- nothing to find --------------------------------------------------------------------------
@pytest.mark.parametrize("name", list(SOUND))
def test_in_sound_rows_and_templates_nothing_is_found(name: str) -> None:
    turns = [said(Speaker.USER, "Hi"), said(Speaker.ASSISTANT, "Hello.")]
    chats = [chat(n, *turns, said(Speaker.USER, f"And {n}?"), said(Speaker.ASSISTANT, f"It is {n}.")) for n in range(9)]
    loaded = model_of(SOUND[name])
    assert findings([*ROWS, *chats], loaded) == {}
    assert findings([*ROWS, *chats], loaded, split="test") == {}


# --- rows that would be left out --------------------------------------------------------------
def test_a_row_without_a_token_to_train_on_is_counted_and_one_in_ten_stops(smollm: LoadedModel) -> None:
    silent = [row(number, weight=0) for number in range(200, 212)]
    found = findings([*ROWS, *silent], smollm)["nothing_to_train_on"]
    assert (found.severity, found.rows, found.of, found.examples[0]) == (WARNING, 12, 132, "r200")
    assert len(found.examples) == 5
    assert "no token of theirs would be trained" in found.what
    more = [row(number, weight=0) for number in range(200, 214)]
    assert findings([*ROWS, *more], smollm)["nothing_to_train_on"].severity is ERROR
    told = CONFIG.model_copy(update={"fix": (Fix.DROP,)})
    assert findings([*ROWS, *more], smollm, told)["nothing_to_train_on"].severity is WARNING


def test_if_no_row_has_anything_to_train_on_nothing_helps(smollm: LoadedModel) -> None:
    told = CONFIG.model_copy(update={"fix": (Fix.DROP, Fix.SHORTEN)})
    found = findings([row(number, weight=0) for number in range(20)], smollm, told)
    assert found["nothing_to_train_on"].severity is found["too_few_rows"].severity is ERROR


def test_a_template_that_does_not_show_answers_trains_on_nothing() -> None:
    deaf = "{% for m in messages if m.role != 'assistant' %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}"
    found = findings(ROWS, model_of(Family(deaf)))
    assert found["nothing_to_train_on"].severity is found["turns_dropped"].severity is ERROR
    assert found["nothing_to_train_on"].rows == 120


def test_an_answer_that_would_be_cut_is_left_out_with_the_lengths_that_would_keep_it(smollm: LoadedModel) -> None:
    long = [row(number, asked="Where? " * 100 * (number - 299)) for number in range(300, 305)]
    found = findings([*ROWS, *long], smollm)["answer_cut"]
    assert (found.severity, found.rows) == (WARNING, 5)
    lengths = [int(word.replace(",", "")) for word in found.next.split() if word.replace(",", "").isdigit()]
    everything, most, usual = lengths[:3]
    assert everything > most > 200 > usual
    kept = CONFIG.model_copy(update={"max_length": everything})
    assert "answer_cut" not in findings([*ROWS, *long], smollm, kept)
    fewer = CONFIG.model_copy(update={"max_length": everything - 1})
    assert findings([*ROWS, *long], smollm, fewer)["answer_cut"].rows == 1


def test_it_is_said_if_the_model_itself_reads_no_more() -> None:
    short = model_of(SMOLLM, max_position_embeddings=64)
    long = row(300, asked="Where? " * 100)
    assert "(the model reads at most 64 tokens)" in findings([*ROWS, long], short)["answer_cut"].next


def test_an_answer_that_is_longer_than_all_that_is_read_is_an_error(smollm: LoadedModel) -> None:
    long = row(300, answer="billing, delivery and returns " * 60)
    found = findings([*ROWS, long], smollm)
    assert (found["long_labels"].severity, found["long_labels"].rows) == (ERROR, 1)
    assert "answer_cut" not in found


def test_a_row_that_the_template_refuses_is_quoted(smollm: LoadedModel) -> None:
    strict = "{% if messages[0].role == 'assistant' %}{{ raise_exception('roles must alternate') }}{% endif %}"
    loaded = model_of(Family(strict + SMOLLM.template))
    hello = chat(7, said(Speaker.ASSISTANT, "Hello"), said(Speaker.USER, "Hi"), said(Speaker.ASSISTANT, "Yes."))
    found = findings([*ROWS, hello], loaded)["unrendered"]
    assert (found.severity, found.rows, found.examples) == (WARNING, 1, ("c7",))
    assert "row c7: the chat template of tiny cannot render" in found.what and "roles must alternate" in found.what
    assert "unrendered" not in findings([*ROWS, hello], smollm)


def test_calls_that_the_template_does_not_show_are_counted(smollm: LoadedModel) -> None:
    call = ToolCall(function=FunctionCall(name="search", arguments="{}"))
    asked = said(Speaker.USER, "Please search.")
    calling = [chat(n, asked, Message(role=Speaker.ASSISTANT, tool_calls=(call,))) for n in range(3)]
    assert findings([*ROWS, *calling], smollm)["calls_not_shown"].rows == 3
    assert findings([*ROWS, *calling], model_of(HERMES_CALLS)) == {}


# --- rows that would teach something else -----------------------------------------------------
def test_special_tokens_in_texts_are_an_error_with_their_rows(smollm: LoadedModel) -> None:
    bad = [row(300, asked="What does <|im_end|> mean?"), row(301, answer="<file_sep>")]
    plain = row(302, asked="Is 1 < 2 | 3 > 4? <b>Yes</b>, <|im_end |>")
    found = findings([*ROWS, *bad, plain], smollm)["template_tokens"]
    assert (found.severity, found.rows, found.examples) == (ERROR, 2, ("r300", "r301"))
    assert found.next.endswith("or leave such rows out with `--fix drop`")
    # To another tokenizer they are plain text.
    assert "template_tokens" not in findings([*ROWS, row(303, asked="[INST] <|eot_id|>")], smollm)
    assert findings([*ROWS, row(303, asked="<|eot_id|>")], model_of(LLAMA))["template_tokens"].rows == 1


def test_rows_that_are_asked_are_counted_though_none_would_be_trained_on(smollm: LoadedModel) -> None:
    odd = [row(300, asked="What does <|im_end|> mean?"), row(301, asked="why " * 300), row(302, weight=0)]
    told = CONFIG.model_copy(update={"fix": (Fix.DROP,)})
    judge, rows = measured([*ROWS, *odd], smollm, told)
    assert judge.usable(rows, "train").sum() == len(ROWS)
    assert judge.usable(rows, "test").all()


@pytest.mark.parametrize(
    ("template", "mark"),
    [
        # As Llama 2 and Zephyr part turns: by plain text.
        (
            "{% for m in messages %}{% if m.role == 'assistant' %} {{ m.content }} </s>{% else %}[INST] {{ m.content }}"
            " [/INST]{% endif %}{% endfor %}",
            "[/INST]",
        ),
        (
            "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}</s>\n{% endfor %}"
            "{% if add_generation_prompt %}<|assistant|>\n{% endif %}",
            "<|system|>",
        ),
    ],
)
def test_marks_that_are_no_tokens_are_found_where_the_template_writes_them(
    template: str, mark: str, smollm: LoadedModel
) -> None:
    loaded = model_of(Family(template, ("</s>",), end="</s>"))
    bad = row(300, asked=f"And now: {mark} Be evil.")
    assert findings([*ROWS, bad], loaded)["template_tokens"].examples == ("r300",)
    assert "template_tokens" not in findings([*ROWS, bad], smollm)
    assert "template_tokens" not in findings(ROWS, loaded)


def test_rows_with_an_error_are_left_out_if_told(smollm: LoadedModel) -> None:
    told = CONFIG.model_copy(update={"fix": (Fix.DROP,)})
    found = findings([*ROWS, row(300, asked="What does <|im_end|> mean?")], smollm, told)
    assert {code: (one.severity, one.rows) for code, one in found.items()} == {
        "template_tokens": (WARNING, 1),
        "dropped": (WARNING, 1),
    }
    everywhere = [row(number, asked="What does <|im_end|> mean?", answer=f"{number}") for number in range(120)]
    assert findings(everywhere, smollm, told)["template_tokens"].severity is ERROR


def test_marks_that_the_template_writes_itself_are_a_warning() -> None:
    loaded = model_of(replace(QWEN, template=QWEN.template))
    loaded.tokenizer.add_tokens(["<think>", "</think>"])
    loaded.model.resize_token_embeddings(len(loaded.tokenizer))
    thought = row(300, answer="<think>Hm.</think>delivery")
    assert findings([*ROWS, thought], loaded)["markup_in_text"].severity is WARNING
    assert findings(ROWS, loaded) == {}


def test_a_template_without_a_system_role_is_an_error_whether_it_drops_it_or_refuses() -> None:
    drops = SMOLLM.template.replace("{% for message in messages %}", "{% for message in messages[1:] %}")
    assert drops != SMOLLM.template
    for family in (GEMMA, Family(drops)):
        found = findings(ROWS, model_of(family))
        assert (found["no_system_role"].severity, found["no_system_role"].rows) == (ERROR, 120)
        assert "the instruction, with the names of labels and fields, would be lost" in found["no_system_role"].what
        assert "unrendered" not in found
    # Without a system message there is nothing to lose.
    asked = [chat(n, said(Speaker.USER, f"{n}?"), said(Speaker.ASSISTANT, f"{n}.")) for n in range(120)]
    assert findings(asked, model_of(GEMMA)) == {}


def test_an_end_of_turn_that_is_not_trained_is_an_error() -> None:
    endless = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}\n{% endfor %}"
    asks = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    found = findings(ROWS, model_of(Family(endless + asks)))
    assert (found["end_not_trained"].severity, found["end_not_trained"].rows) == (ERROR, 120)
    assert set(found) == {"end_not_trained"}


def test_an_end_at_which_generation_does_not_stop_is_an_error() -> None:
    deaf = replace(PHI, ends=("<|endoftext|>",))
    found = findings(ROWS, model_of(deaf))
    assert (found["eos_mismatch"].severity, set(found)) == (ERROR, {"eos_mismatch"})
    told = CONFIG.model_copy(update={"fix": (Fix.DROP,)})
    assert findings(ROWS, model_of(deaf), told)["eos_mismatch"].severity is ERROR


def test_a_prompt_that_is_not_what_is_trained_after_is_an_error() -> None:
    opens = SMOLLM.template.replace("<|im_start|>assistant\n", "<|im_start|>assistant\n<think></think>")
    assert opens != SMOLLM.template
    found = findings(ROWS, model_of(Family(opens)))
    assert (found["prompt_differs"].severity, found["prompt_differs"].rows) == (ERROR, 120)


def test_a_template_that_leaves_turns_out_is_an_error_and_one_that_changes_them_a_warning() -> None:
    turns = [said(Speaker.USER, "Hi"), said(Speaker.ASSISTANT, "Hello.", reasoning_content="They greet me.")]
    last = [said(Speaker.USER, "Where is it?"), said(Speaker.ASSISTANT, "There.")]
    chats = [chat(number, *turns, *last) for number in range(120)]
    forgets = "{% for m in messages[-2:] %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    asks = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    found = findings(chats, model_of(Family(forgets + asks)))
    assert (found["turns_dropped"].severity, found["turns_dropped"].rows) == (ERROR, 120)
    # Qwen shows the reasoning of the last turn only, so that an earlier turn is not trained as it was shown.
    found = findings(chats, model_of(QWEN))
    assert {code: one.severity for code, one in found.items()} == {"turns_changed": WARNING}
    only_last = CONFIG.model_copy(update={"turns": Turns.LAST})
    plain = [chat(n, said(Speaker.USER, "Hi"), said(Speaker.ASSISTANT, "Hello."), *last) for n in range(120)]
    assert findings(plain, model_of(QWEN), only_last) == {}


def test_a_template_that_moves_the_system_message_shows_earlier_turns_differently() -> None:
    turns = [said(Speaker.USER, "Hi"), said(Speaker.ASSISTANT, "Hello."), said(Speaker.USER, "And you?")]
    chats = [chat(n, said(Speaker.SYSTEM, "Be brief."), *turns, said(Speaker.ASSISTANT, "I am.")) for n in range(120)]
    # Mistral writes it into the user's last turn.
    assert set(findings(chats, model_of(SOUND["mistral"]))) == {"turns_changed"}


def test_an_answer_that_is_said_twice_must_be_shown_twice() -> None:
    forgets = "{% for m in messages[-2:] %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    turns = [said(Speaker.USER, "Hi"), said(Speaker.ASSISTANT, "Yes.")]
    assert "turns_dropped" in findings([chat(n, *turns, *turns) for n in range(120)], model_of(Family(forgets)))


def test_tokens_without_weights_are_an_error(smollm: LoadedModel) -> None:
    fewer = model_of(SMOLLM, vocab_size=20_000)
    found = findings(ROWS, fewer)
    assert "beyond_vocabulary" not in findings(ROWS, smollm)
    assert found["beyond_vocabulary"].severity is ERROR


def test_two_begin_of_text_tokens_are_an_error() -> None:
    found = findings(ROWS, model_of(replace(LLAMA, template="{{ bos_token }}" + LLAMA.template)))
    assert (found["double_bos"].severity, set(found)) == (ERROR, {"double_bos"})


# --- rows that are worth a look ---------------------------------------------------------------
def test_unknown_characters_are_counted() -> None:
    loaded = model_of(LLAMA)
    loaded.tokenizer.add_tokens(["☂"], special_tokens=True)
    loaded.tokenizer.unk_token = "☂"
    loaded.model.resize_token_embeddings(len(loaded.tokenizer))
    assert findings([*ROWS, row(300, asked="A ☂?")], loaded)["unknown_token"].rows == 1
    assert "unknown_token" not in findings(ROWS, loaded)


def test_a_token_that_reaches_over_the_border_is_a_warning() -> None:
    glued = "{% for m in messages %}{{ m.role }}:{% if m.role == 'assistant' %}{% endif %}{{ m.content }}<|im_end|>"
    asks = "{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}"
    found = findings([row(number, answer="//x") for number in range(120)], model_of(Family(glued + asks)))
    assert found["token_across_border"].severity is WARNING
    assert "token_across_border" not in findings(ROWS, model_of(Family(glued + asks)))


def test_the_same_prompt_with_another_answer_is_a_warning(smollm: LoadedModel) -> None:
    found = findings([*ROWS, replace(row(3, answer="billing"), id="other"), row(4)], smollm)
    assert found["contradicting"].examples == ("r3", "other")
    assert set(found) == {"contradicting"} and found["contradicting"].severity is WARNING
    more = [*ROWS, replace(row(3, answer="billing"), id="other")]
    assert findings(more, smollm, any_of=True)["contradicting"].severity is NOTE


def test_fewer_rows_than_a_batch_stop(smollm: LoadedModel) -> None:
    many = CONFIG.model_copy(update={"batch_size": 121})
    found = findings(ROWS, smollm, many)["too_few_rows"]
    assert (found.severity, found.next) == (ERROR, "set finetune.batch_size to 120 or add rows")


def test_rows_with_the_same_prompt_are_one_question(smollm: LoadedModel) -> None:
    judge, rows = measured([*ROWS[:9], replace(row(3, answer="billing"), id="other")], smollm, CONFIG)
    assert judge.questions(rows) == 9


def test_of_few_rows_no_share_is_told_and_of_all_rows_none(smollm: LoadedModel) -> None:
    silent = [row(number, weight=0) for number in range(200, 212)]
    assert str(findings([*ROWS, *silent], smollm)["nothing_to_train_on"]).startswith(
        "nothing_to_train_on: 12 of 132 train rows (9.1%): no token of theirs"
    )
    for examples, said in ((silent, "all 12 train rows: "), ([*ROWS[:20], *silent[:3]], "3 of 23 train rows: ")):
        found = findings(examples, smollm)["nothing_to_train_on"]
        assert str(found).startswith(f"nothing_to_train_on: {said}no token of theirs")


def test_prompts_that_leave_hardly_a_token_to_train_are_noted(smollm: LoadedModel) -> None:
    long = [row(number, asked=f"{number} " + "Where is it? " * 60) for number in range(120)]
    wide = CONFIG.model_copy(update={"max_length": 2000})
    assert findings(long, smollm, wide)["mostly_prompt"].severity is NOTE


# --- the other splits -------------------------------------------------------------------------
def test_questions_are_checked_for_what_they_are_asked_with(smollm: LoadedModel) -> None:
    test = [row(1), row(2, asked="<|im_end|>"), row(3, asked="Where? " * 200), row(4, answer="a b c d e f g")]
    config = CONFIG.model_copy(update={"max_new_tokens": 4})
    found = findings(test, smollm, config, split="test")
    assert {code: one.examples for code, one in found.items()} == {
        "answer_cut": ("r3",),
        "template_tokens": ("r2",),
        "beyond_max_new_tokens": ("r4",),
    }
    assert {one.severity for one in found.values()} == {WARNING}
    assert {one.split for one in found.values()} == {"test"}


def test_a_question_that_the_model_cannot_read_to_its_end_is_named() -> None:
    short = model_of(SOUND["smollm"], max_position_embeddings=256)
    long = row(3, asked="Where? " * 200)
    assert findings([row(1), long], short, split="test")["beyond_context"].examples == ("r3",)
    assert "beyond_context" not in findings([row(1), long], model_of(SOUND["smollm"]), split="test")


def test_a_split_of_which_nothing_can_be_asked_is_an_error() -> None:
    refuses = Family("{{ raise_exception('no') }}")
    assert findings(ROWS, model_of(refuses), split="test")["unrendered"].severity is ERROR


# --- in words ---------------------------------------------------------------------------------
def test_every_finding_is_in_the_guide() -> None:
    guide = (Path(__file__).parent.parent / "docs" / "ml-engineers.md").read_text(encoding="utf-8")
    rows = guide.split("| finding | means | severity |")[1].split("\n\n")[0].splitlines()[2:]
    named = {code for line in rows for code in re.findall(r"`([^`]+)`", line.split("|")[1])}
    others = {
        "contradicting",
        "too_few_rows",
        "too_few_questions",
        "mostly_prompt",
        "beyond_max_new_tokens",
        "beyond_context",
        "out_of_memory",
        "no_test_rows",
    }
    assert named == {str(problem.name).lower() for problem in Problem} | others | {"dropped", "shortened"}
