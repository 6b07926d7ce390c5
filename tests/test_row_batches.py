"""Rows that are tokenized together have the same tokens as each by itself, and the same of them are learned."""

from typing import Any

import pytest
from chat_templates import TEMPLATES, with_template
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import Unrendered
from pipeline.finetuning.examples import Example
from pipeline.finetuning.loaded_model import LoadedModel
from pipeline.finetuning.row_batches import BatchRow, batch_rows
from pipeline.finetuning.row_tokens import as_tokens
from schemas.dataset import Turns
from schemas.message import Message, Speaker

INSTRUCTION = "Name the topic of this question. Answer with one of: billing, delivery, returns. " * 2
CONTENTS = st.sampled_from(
    ["", "Hi", " spaced \n", "é 日本 👩‍👩‍👧", "<|im_end|>\n<|im_start|>assistant\nX", "Yes. Yes."]
)
MESSAGES = st.builds(
    Message,
    role=st.sampled_from([Speaker.USER, Speaker.ASSISTANT, Speaker.ASSISTANT, Speaker.TOOL]),
    content=CONTENTS,
    reasoning_content=st.sampled_from([None, "Hm."]),
    weight=st.sampled_from([None, 0, 1]),
)
CHATS = st.lists(MESSAGES, min_size=1, max_size=5)


def said(role: Speaker, content: str = "") -> Message:
    return Message(role=role, content=content)


def row(*turns: Message, name: str = "r1", tools: Any = None) -> Example:
    return Example(name, tuple(turns[:-1]), tuple(turns[-1:]), {}, tools)


@pytest.mark.parametrize("name", list(TEMPLATES))
@settings(max_examples=30)
@given(chats=st.lists(CHATS, min_size=1, max_size=5), which=st.sampled_from(Turns), instructed=st.booleans())
def test_a_batch_has_the_tokens_of_its_rows(
    name: str, chats: list[list[Message]], which: Turns, instructed: bool
) -> None:
    loaded = with_template(name)
    system = [said(Speaker.SYSTEM, INSTRUCTION)] if instructed else []
    examples = [row(*system, *turns) for turns in chats]
    for example, found in zip(examples, batch_rows(examples, loaded, which, 4096), strict=True):
        assert isinstance(found, BatchRow)
        assert found.tokens() == as_tokens(example, loaded, which)


def test_what_rows_share_is_tokenized_once(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = with_template("smollm2")
    seen: list[int] = []
    tokenizer = loaded.tokenizer

    def counting(texts: list[str], **options: Any) -> Any:
        seen.extend(map(len, texts))
        return tokenizer(texts, **options)

    asked = [said(Speaker.USER, f"Where is parcel {number}?") for number in range(50)]
    examples = [row(said(Speaker.SYSTEM, INSTRUCTION), one, said(Speaker.ASSISTANT, "delivery")) for one in asked]
    rows = batch_rows(examples, loaded, Turns.EVERY, 4096)
    whole = sum(len(one.text) for one in rows if isinstance(one, BatchRow))

    class Counting:
        def __getattr__(self, name: str) -> Any:
            return getattr(tokenizer, name)

        def __call__(self, texts: list[str], **options: Any) -> Any:
            return counting(texts, **options)

    batch_rows(examples, LoadedModel(loaded.model, Counting(), "smollm2", "r"), Turns.EVERY, 4096)
    assert sum(seen) < whole / 2


def test_a_row_that_the_template_refuses_is_an_error_and_the_others_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = with_template("smollm2")
    strict = "{% if messages[0].role == 'assistant' %}{{ raise_exception('roles must alternate') }}{% endif %}"
    monkeypatch.setattr(loaded.tokenizer, "chat_template", strict + loaded.tokenizer.chat_template)
    hello, asked, answer = said(Speaker.ASSISTANT, "Hello"), said(Speaker.USER, "Hi"), said(Speaker.ASSISTANT, "Yes.")
    refused, read = batch_rows([row(hello, asked, answer), row(asked, answer)], loaded, Turns.EVERY, 100)
    assert isinstance(refused, Unrendered) and "roles must alternate" in str(refused)
    assert isinstance(read, BatchRow) and read.tokens() == as_tokens(read.example, loaded, Turns.EVERY)


def test_of_a_row_beyond_the_limit_only_the_last_turn_is_looked_for() -> None:
    loaded = with_template("smollm2")
    turns = [said(Speaker.USER, "Hi"), said(Speaker.ASSISTANT, "Yes.")] * 20
    [long] = batch_rows([row(*turns)], loaded, Turns.EVERY, 50)
    [short] = batch_rows([row(*turns)], loaded, Turns.EVERY, 5000)
    assert isinstance(long, BatchRow) and isinstance(short, BatchRow)
    assert (len(long.turns), len(short.turns)) == (1, 20)
    assert long.turns[-1] == short.turns[-1]


def test_rows_with_tools_are_rendered_with_their_own() -> None:
    loaded = with_template("hermes")
    turns = [said(Speaker.USER, "Hi"), said(Speaker.ASSISTANT, "Yes.")]
    tools = [({"type": "function", "function": {"name": name}},) for name in ("one", "two")]
    examples = [row(*turns, tools=tools[0]), row(*turns, tools=tools[1]), row(*turns)]
    for example, found in zip(examples, batch_rows(examples, loaded, Turns.EVERY, 500), strict=True):
        assert isinstance(found, BatchRow)
        assert found.tokens() == as_tokens(example, loaded, Turns.EVERY)


def spaced_tokenizer(scheme: str) -> Any:
    """One that writes blanks as part of words, as SentencePiece does, and maybe one before the text."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE(unk_token="<unk>"))
    if scheme == "legacy":
        backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    backend.decoder = decoders.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=["<unk>", "<s>", "</s>", "[INST]", "[/INST]"])
    backend.train_from_iterator([INSTRUCTION, "Where is my parcel? Hello there, yes.\n"], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


@pytest.mark.parametrize("scheme", ["first", "always", "never", "legacy"])
def test_where_tokenizers_put_blanks_before_words_a_batch_has_the_tokens_of_its_rows_too(scheme: str) -> None:
    tokenizer = spaced_tokenizer(scheme)
    tokenizer.chat_template = (
        "<s>{% for m in messages %}{% if m.role == 'system' %}{{ m.content }} </s>{% elif m.role == 'user' %}"
        "[INST] {{ m.content }} [/INST]{% else %} {{ m.content }}</s>{% endif %}{% endfor %}"
    )
    loaded = LoadedModel(None, tokenizer, scheme, "r")
    system = said(Speaker.SYSTEM, INSTRUCTION)
    asked = [said(Speaker.USER, text) for text in ("Where is it?", " where", "is my parcel", "", "\n yes")]
    examples = [row(system, one, said(Speaker.ASSISTANT, "Hello there")) for one in asked]
    for example, found in zip(examples, batch_rows(examples, loaded, Turns.EVERY, 500), strict=True):
        assert isinstance(found, BatchRow)
        assert found.tokens() == as_tokens(example, loaded, Turns.EVERY)
