"""A prompted model is shown the training rows that are most similar to its question, as many as it can read."""

import pytest
from chat_templates import TOKENIZER
from small_models import save_small_model

from pipeline.finetuning import training_rows
from pipeline.finetuning.base_model import load_base
from pipeline.finetuning.evaluate import EvalQuestion, questions
from pipeline.finetuning.exam import Exam, Questions, askable
from pipeline.finetuning.examples import Example
from pipeline.finetuning.loaded_model import LoadedModel
from pipeline.finetuning.row_tokens import Tokens
from pipeline.ladder.language_models import Adapter, Candidate, FewShot, ZeroShot, with_examples
from pipeline.ladder.retrieval import Memory
from schemas.dataset import Finetune, Form
from schemas.message import Message, Speaker
from schemas.task import Conversation, Task


class Help(Task):
    """Help."""

    messages: Conversation


SYSTEM = Message(role=Speaker.SYSTEM, content="Be brief.")


def user(text: str) -> Message:
    return Message(role=Speaker.USER, content=text)


def said(text: str) -> Message:
    return Message(role=Speaker.ASSISTANT, content=text)


def row(name: str, asked: str, answer: str) -> Example:
    turns = (SYSTEM, user(asked), said(answer))
    return Example(name, turns[:2], turns[2:], {"messages": [turn.as_json() for turn in turns]})


ROWS = [
    row("bread", "How do I bake bread?", "Mix flour and water."),
    row("bike", "How do I fix a bike?", "Check the chain."),
    row("red bike", "How do I fix a red bike?", "Check the red chain."),
    row("tea", "When is tea served?", "At five."),
]
ASKED = row("asked", "How do I fix a red bike at home?", "Ask a friend.")


class Listening(Exam):
    """An exam that notes what is asked instead of asking a model."""

    def take(self, model: LoadedModel, questions: Questions, *_: object) -> object:  # type: ignore[override]
        self.__dict__.setdefault("heard", []).append(questions)
        return None


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    folder = tmp_path_factory.mktemp("base")
    save_small_model(folder, eos_token_id=TOKENIZER.eos_token_id)
    return load_base(str(folder))


def shown(model: LoadedModel, examples: int, config: Finetune, longest: int = 8) -> Questions:
    """What a model is asked with so many examples."""
    exam = Listening(Help, longest)
    arm = FewShot(Candidate(model, exam, config), Memory(Help, ROWS), examples)
    arm.answer(askable(questions(Help, [ASKED]), Help, config, model), lambda units: None)
    [heard] = exam.__dict__["heard"]
    assert isinstance(heard, Questions)
    return heard


def contents(question: EvalQuestion) -> list[str]:
    return [turn.content for turn in question.prompt]


def length(model: LoadedModel, question: EvalQuestion) -> int:
    return len(model.token_ids(question.prompt, None, answer_follows=True))


def test_the_examples_stand_before_the_question_the_most_similar_last(model: LoadedModel) -> None:
    [question] = shown(model, 2, Finetune()).asked
    assert contents(question) == [
        "Be brief.",
        "How do I fix a bike?",
        "Check the chain.",
        "How do I fix a red bike?",
        "Check the red chain.",
        "How do I fix a red bike at home?",
    ]
    assert [turn.role for turn in question.prompt][1:] == [Speaker.USER, Speaker.ASSISTANT] * 2 + [Speaker.USER]
    assert question.golds == questions(Help, [ASKED])[0].golds, "what is right stays what it was"


def counted(tokens: Tokens) -> str:
    return TOKENIZER.decode([one for one, counts in zip(tokens.ids, tokens.learned, strict=True) if counts])


def test_the_answers_of_the_examples_are_no_part_of_the_loss(model: LoadedModel) -> None:
    config = Finetune()
    [bare] = askable(questions(Help, [ASKED]), Help, config, model).golds
    [told] = shown(model, 3, config).golds
    assert len(told.ids) > len(bare.ids) + 30
    assert counted(told) == counted(bare)
    assert "friend" in counted(told) and "chain" not in counted(told)


def test_a_gold_answer_that_max_length_cuts_is_judged_as_far_after_examples_too(model: LoadedModel) -> None:
    """Else a prompt with examples is judged by tokens that nothing else is: 8 nats per token apart by that alone."""
    long = row("long", "Tell me a story.", " ".join(f"And then came number {number}." for number in range(60)))
    config = Finetune(max_length=64)
    asked = askable(questions(Help, [long]), Help, config, model)
    exam = Listening(Help, 8)
    FewShot(Candidate(model, exam, config), Memory(Help, ROWS), 3).answer(asked, lambda units: None)
    [bare], [told] = asked.golds, exam.__dict__["heard"][0].golds
    assert counted(told) == counted(bare) != ""
    assert len(told.ids) > len(bare.ids)
    assert told.learned[-1], "nothing behind them is read"


def test_examples_that_do_not_fit_are_left_out_the_least_similar_first(
    model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    longest = 8
    lengths = [length(model, shown(model, count, Finetune()).asked[0]) for count in range(5)]
    assert lengths == sorted(set(lengths))
    whole = [contents(shown(model, count, Finetune()).asked[0]) for count in range(5)]
    for count in range(5):
        monkeypatch.setattr(training_rows, "_LONGEST", lengths[count] + longest)
        assert contents(shown(model, 4, Finetune()).asked[0]) == whole[count]
        monkeypatch.setattr(training_rows, "_LONGEST", lengths[count] + longest - 1)
        assert contents(shown(model, 4, Finetune()).asked[0]) == whole[max(0, count - 1)]


def test_there_are_no_more_examples_than_rows_and_none_if_none_are_wanted(model: LoadedModel) -> None:
    assert len(shown(model, 50, Finetune()).asked[0].prompt) == 2 + 2 * len(ROWS)
    assert contents(shown(model, 0, Finetune()).asked[0]) == ["Be brief.", "How do I fix a red bike at home?"]


def test_a_prompt_without_a_system_turn_begins_with_the_examples() -> None:
    prompt = with_examples((user("What now?"),), ROWS[:1])
    assert [turn.content for turn in prompt] == ["How do I bake bread?", "Mix flour and water.", "What now?"]
    assert [turn.weight for turn in prompt if turn.role is Speaker.ASSISTANT] == [0]


def test_a_model_answers_with_examples_as_it_does_without(model: LoadedModel) -> None:
    config = Finetune()
    asked = askable(questions(Help, [ASKED, ROWS[0]]), Help, config, model)
    one = Candidate(model, Exam(Help, 4), config)
    bare, told = (arm.answer(asked, lambda units: None) for arm in (ZeroShot(one), FewShot(one, Memory(Help, ROWS), 2)))
    assert len(bare.texts) == len(told.texts) == 2 and bare.losses and told.losses
    assert [loss.possible for loss in told.losses] == [loss.possible for loss in bare.losses]
    assert [loss.earned for loss in told.losses] != [loss.earned for loss in bare.losses]
    assert told.tokens_in > bare.tokens_in > 0, "what is shown is paid for"


def test_prompted_models_and_free_adapters_are_the_slow_ones(model: LoadedModel) -> None:
    one = Candidate(model, Exam(Help, 4), Finetune(form=Form.HELD))
    arms = [ZeroShot(one), FewShot(one, Memory(Help, ROWS), 2), Adapter(one, is_free=False), Adapter(one, is_free=True)]
    assert [(arm.name, arm.is_slow) for arm in arms] == [
        ("zero_shot", True),
        ("few_shot", True),
        ("adapter", False),
        ("adapter_free", True),
    ]
    assert arms[1].title == "the base model, prompted with 2 retrieved examples"
