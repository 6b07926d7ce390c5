"""A model that may call tools is asked, read and judged with them: by its template, the rules and the gold calls."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from chat_templates import TEMPLATES, TOKENIZER

from pipeline.errors import TrainingError
from pipeline.evaluation.estimates import Unit
from pipeline.evaluation.text_similarity import chrf
from pipeline.finetuning.answer_room import longest_answer
from pipeline.finetuning.evaluate import EvalQuestion, Evaluation, evaluate, questions
from pipeline.finetuning.exam import Exam, Questions, askable
from pipeline.finetuning.examples import Example
from pipeline.finetuning.loaded_model import LoadedModel
from pipeline.finetuning.row_tokens import calling_turns
from pipeline.finetuning.training_rows import LeftOut
from pipeline.finetuning.written_turns import readable_turn
from pipeline.kinds.registry import kind_of
from schemas.dataset import Finetune
from schemas.message import FunctionCall, Message, Speaker, ToolCall
from schemas.task import Conversation, Task, Tools


class Help(Task):
    """Help."""

    messages: Conversation
    tools: Tools


WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
SYSTEM = Message(role=Speaker.SYSTEM, content="You are the assistant of a weather station and never say so to anyone.")
ASKED = Message(
    role=Speaker.USER, content="What is the weather in Rome today, and do I need to take an umbrella with me?"
)


def calling(arguments: dict[str, Any], name: str = "weather") -> Message:
    call = ToolCall(function=FunctionCall(name=name, arguments=json.dumps(arguments)))
    return Message(role=Speaker.ASSISTANT, tool_calls=(call,))


def saying(text: str) -> Message:
    return Message(role=Speaker.ASSISTANT, content=text)


def example(answer: Message, *asked: Message, name: str = "r1") -> Example:
    prompt = asked or (SYSTEM, ASKED)
    fields = {
        "messages": [turn.as_json() for turn in (*prompt, answer)],
        "tools": [json.dumps(WEATHER)],
    }
    return Example(name, prompt, (answer,), fields, (WEATHER,))


def judged(*pairs: tuple[Message, str]) -> Evaluation:
    """What is said of answers to the weather in Rome, each beside its gold one."""
    asked = [
        EvalQuestion(
            id=f"q{at}",
            prompt=(SYSTEM, ASKED),
            golds=({"messages": [gold.as_json()]},),
            examples=(example(gold),),
        )
        for at, (gold, _) in enumerate(pairs)
    ]
    return evaluate(Help, asked, [text for _, text in pairs])


def shares(evaluation: Evaluation) -> dict[str, float]:
    return {measure.name: measure.value.value for measure in evaluation.measures}


def written(arguments: str, name: str = "weather") -> str:
    return f'<tool_call>\n{{"name": "{name}", "arguments": {arguments}}}\n</tool_call>'


ROME = calling({"city": "Rome"})
RESULT = Message(role=Speaker.TOOL, content="31 degrees", name="weather")
SOUND, FUNCTIONS, ARGUMENTS = (
    "answers that no rule doubts",
    "answers that call the gold answer's functions",
    "the same with equal arguments",
)


# --- judged -----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("answer", "sound", "function", "arguments"),
    [
        (written('{"city": "Rome"}'), 1, 1, 1),
        (written('{"city": "Roma"}'), 1, 1, 0),
        (written('{"town": "Rome"}'), 0, 1, 0),
        (written('{"city": "Rome"}', "forecast"), 0, 0, 0),
        ("<tool_call>weather(Rome)</tool_call>", 0, 0, 0),
        ("It is sunny in Rome today, with 31 degrees.", 1, 0, 0),
        (written('{"city": "Rome"}') + written('{"city": "Rome"}'), 1, 0, 0),
    ],
    ids=["right", "another city", "breaks the schema", "unknown", "no JSON", "no call", "twice"],
)
def test_an_answer_that_calls_is_judged_by_the_rules_and_the_gold_call(
    answer: str, sound: float, function: float, arguments: float
) -> None:
    found = shares(judged((ROME, answer)))
    assert (found[SOUND], found[FUNCTIONS], found[ARGUMENTS]) == (sound, function, arguments)


def test_only_rows_whose_gold_answer_calls_are_compared_by_calls() -> None:
    pairs = [(ROME, written('{"city": "Rome"}')), (saying("Where?"), "Which city do you mean?")]
    assert [shares(judged(*pairs))[name] for name in (SOUND, FUNCTIONS, ARGUMENTS)] == [1, 1, 1]
    assert set(shares(judged(pairs[1]))) == {SOUND, "chrF"}


def test_an_answer_is_judged_in_its_conversation() -> None:
    leak = "You are the assistant of a weather station and never say so to anyone."
    german = (
        "Das Wetter in Rom ist heute sonnig und warm, mit 31 Grad am Nachmittag, und einen Schirm brauchen Sie nicht."
    )
    assert [shares(judged((saying("Fine."), text)))[SOUND] for text in (leak, german, "It is fine.")] == [0, 0, 1]


def test_an_answer_is_not_doubted_for_what_was_asked() -> None:
    asked = (saying("{{name}} speaking."), ASKED)
    gold = saying("It is sunny.")
    question = EvalQuestion(
        id="q", prompt=asked, golds=({"messages": [gold.as_json()]},), examples=(example(gold, *asked),)
    )
    assert shares(evaluate(Help, [question], ["It is warm."]))[SOUND] == 1


def test_an_answer_to_a_prompt_that_ends_with_the_assistant_is_not_doubted_for_that() -> None:
    asked, gold = (ASKED, saying("Let me see.")), saying("It is sunny.")
    question = EvalQuestion(
        id="q", prompt=asked, golds=({"messages": [gold.as_json()]},), examples=(example(gold, *asked),)
    )
    assert shares(evaluate(Help, [question], ["It is warm."]))[SOUND] == 1


def test_answers_without_losses_are_judged_by_what_they_say() -> None:
    result = judged((saying("It is sunny."), "It is sunny."), (saying("It rains."), "It is sunny."))
    assert (result.metric, result.metric_title, result.score.unit) == ("chrf", "chrF", Unit.SHARE)
    assert result.score.value == pytest.approx((1 + chrf("It is sunny.", "It rains.")) / 2)


def test_calls_in_the_texts_of_a_dataset_are_calls() -> None:
    assert shares(judged((saying(written('{"city": "Rome"}')), written('{ "city":"Rome" }')))) == {
        SOUND: 1,
        "chrF": 1,
        FUNCTIONS: 1,
        ARGUMENTS: 1,
    }


def test_the_calls_before_the_last_turn_are_not_expected_in_it() -> None:
    gold, prompt = saying("It is warm."), (SYSTEM, ASKED, ROME, RESULT)
    targets = {"messages": [turn.as_json() for turn in (ROME, RESULT, gold)]}
    question = EvalQuestion(id="q", prompt=prompt, golds=(targets,), examples=(example(gold, *prompt),))
    assert shares(evaluate(Help, [question], ["It is warm."])) == {SOUND: 1, "chrF": 1}


def test_equal_arguments_are_equal_however_they_are_written() -> None:
    gold = calling({"city": "Rome", "days": 2})
    texts = ['{"days": 2.0, "city": "Rome"}', '{"city": "Rome", "days": true}', '{"city": "Rome", "days": "2"}']
    assert [shares(judged((gold, written(text))))[ARGUMENTS] for text in texts] == [1, 0, 0]


# --- asked ------------------------------------------------------------------------------------------
@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> LoadedModel:
    """A model whose template shows calls as Hermes writes them; its weights are not needed."""
    monkeypatch.setattr(TOKENIZER, "chat_template", TEMPLATES["hermes"])
    return LoadedModel(SimpleNamespace(config=SimpleNamespace()), TOKENIZER, "hermes", "r")


def asked(*examples: Example) -> list[EvalQuestion]:
    return questions(Help, examples)


def with_asked(text: str) -> Message:
    return Message(role=Speaker.USER, content=text)


def test_a_test_row_whose_calls_the_template_does_not_show_is_not_asked_and_counted(
    loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = asked(
        *(example(ROME, SYSTEM, with_asked(f"Rome, {hour}?"), name=f"c{hour}") for hour in range(5)),
        *(example(saying("Sunny."), SYSTEM, with_asked(f"Oslo, {hour}?"), name=f"t{hour}") for hour in range(4)),
    )
    assert askable(rows, Help, Finetune(), loaded).left_out == {}
    monkeypatch.setattr(TOKENIZER, "chat_template", TEMPLATES["smollm2"])
    found = askable(rows, Help, Finetune(eval_rows=3), loaded)
    assert found.left_out == {LeftOut.UNSHOWN_CALLS: 5}
    # They are left out before the draw, so that as many are asked as are wanted.
    assert {question.id[0] for question in found.asked} == {"t"}
    assert len(found.asked) == len(found.golds) == 3
    with pytest.raises(
        TrainingError, match=r"^No test row can be asked\. All 5 rows call tools, .* hermes does not show"
    ):
        askable(rows[:5], Help, Finetune(), loaded)


def test_a_test_row_that_the_template_cannot_render_is_not_asked(
    loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    strict = "{% if messages[0].role == 'assistant' %}{{ raise_exception('roles must alternate') }}{% endif %}"
    monkeypatch.setattr(TOKENIZER, "chat_template", strict + TEMPLATES["hermes"])
    fine = example(saying("Sunny."), ASKED, name="fine")
    refused = example(saying("Sunny."), saying("Hello."), ASKED, name="refused")
    found = askable(asked(refused, fine), Help, Finetune(), loaded)
    assert ([question.id for question in found.asked], found.left_out) == (["fine"], {LeftOut.UNRENDERED: 1})
    with pytest.raises(TrainingError, match=r"No test row can be asked: row refused: .*alternate\); set another"):
        askable(asked(refused), Help, Finetune(), loaded)


def test_a_model_may_answer_as_long_as_the_gold_calls_are(loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    row = example(ROME)
    tokens = len(TOKENIZER.encode(written('{"city": "Rome"}'), add_special_tokens=False))
    assert tokens < longest_answer([row], Help, loaded) <= tokens + 3
    before = example(saying("Sunny."), SYSTEM, ASKED, ROME, RESULT)
    assert longest_answer([before] * 10, Help, loaded) == longest_answer([row], Help, loaded)
    monkeypatch.setattr(TOKENIZER, "chat_template", TEMPLATES["smollm2"])
    assert longest_answer([row, example(saying("Sunny."))], Help, loaded) < 8


def test_one_long_answer_among_many_does_not_let_all_models_write_on(loaded: LoadedModel) -> None:
    short, long = example(saying("Sunny.")), example(saying("Sunny. " * 300))
    alone = longest_answer([short] * 20, Help, loaded)
    for rows in ([long, *[short] * 19], [*[short] * 19, long]):
        assert longest_answer(rows, Help, loaded) == alone


def test_a_call_that_is_not_learned_is_not_asked_for() -> None:
    skipped = ROME.model_copy(update={"weight": 0.0})
    assert calling_turns(example(saying("It is sunny."), SYSTEM, ASKED, ROME, RESULT)) == [2]
    assert calling_turns(example(saying("It is sunny."), SYSTEM, ASKED, skipped, RESULT)) == []


# --- answered ---------------------------------------------------------------------------------------
class Parrot:
    """A model that always writes the same, and finds all tokens equally likely."""

    device = "cpu"
    config = SimpleNamespace()
    generation_config = SimpleNamespace(eos_token_id=TOKENIZER.eos_token_id)

    def __init__(self, text: str) -> None:
        self._ids = TOKENIZER.encode(f"{text}<|im_end|>", add_special_tokens=False)

    def eval(self) -> None:
        """As torch's."""

    def generate(self, input_ids: torch.Tensor, **_: Any) -> torch.Tensor:
        """The prompts and the text, padded."""
        padded = [*self._ids, TOKENIZER.pad_token_id, TOKENIZER.pad_token_id]
        return torch.cat([input_ids, torch.tensor([padded] * len(input_ids))], dim=1)

    def __call__(self, logits_to_keep: torch.Tensor, **_: Any) -> Any:
        return SimpleNamespace(logits=torch.zeros((1, len(logits_to_keep), len(TOKENIZER))))


def taken(model: LoadedModel, asked: Questions) -> Evaluation:
    """What is said of a model's answers, once all of its work has been counted."""
    done: list[int] = []
    answers = Exam(Help, 60).take(model, asked, done.append)
    assert sum(done) == asked.work
    return answers.scored(Help, asked)


@pytest.mark.parametrize("mark", ["", "<|endoftext|>"], ids=["plain", "special"])
def test_the_exam_of_a_model_that_calls(loaded: LoadedModel, mark: str) -> None:
    rows = asked(*(example(ROME, SYSTEM, with_asked(f"Rome, {hour}?"), name=f"c{hour}") for hour in range(8)))
    parrot = LoadedModel(Parrot(written('{"city": "Rome"}') + mark), TOKENIZER, "parrot", "r")
    found = taken(parrot, askable(rows, Help, Finetune(), loaded))
    assert [shares(found)[name] for name in (FUNCTIONS, ARGUMENTS)] == [1, 1]
    # A special token that ends no answer is seen by the rules.
    assert shares(found)[SOUND] == (0 if mark else 1)
    assert found.score.value == pytest.approx(torch.log(torch.tensor(float(len(TOKENIZER)))).item(), rel=1e-4)


def test_the_calls_before_the_last_turn_are_asked_for_each_by_itself(loaded: LoadedModel) -> None:
    turns = (SYSTEM, ASKED, ROME, RESULT, calling({"city": "Oslo"}), RESULT)
    found = askable(asked(example(saying("Rome is warmer."), *turns)), Help, Finetune(), loaded)
    parrot = LoadedModel(Parrot(written('{"city": "Rome"}')), TOKENIZER, "parrot", "r")
    evaluation = taken(parrot, found)
    [outcome] = evaluation.outcomes
    assert [len(step.prompt) for step in outcome.steps] == [2, 4]
    # It calls for Rome every time: right at first, then with another argument, and then it should have said something.
    assert [shares(evaluation)[name] for name in (FUNCTIONS, ARGUMENTS)] == [1, 0.5]
    assert (evaluation.questions, evaluation.score.value > 0) == (1, True)


def test_some_of_the_questions_keep_their_gold_answers_and_their_calls(loaded: LoadedModel) -> None:
    turns = [(SYSTEM, with_asked(f"Rome, {n}?"), ROME, RESULT) for n in range(5)]
    rows = [example(saying("It is warm."), *before, name=f"r{n}") for n, before in enumerate(turns)]
    whole = askable(asked(*rows), Help, Finetune(), loaded)
    some = whole.some(slice(1, 3))
    assert [one.id for one in some.asked] == [one.id for one in some.steps] == [one.id for one in whole.asked[1:3]]
    assert some.golds == whole.golds[1:3]
    assert (some.work, whole.work) == (2 * 3, 5 * 3), "an answer, a call before it, and a loss for each"


def test_calls_are_found_as_the_tokenizer_says(loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = {"open": "«", "close": "»", "repeats": True, "content": "json", "transform": {"function": "{content}"}}
    template = {"start_anchor": "assistant\n", "fields": {"content": {"content": "text"}, "tool_calls": calls}}
    text = 'I look.«{"name": "weather", "arguments": {"city": "Rome"}}»'
    assert readable_turn(text, loaded, [ASKED], (WEATHER,)) == text
    monkeypatch.setattr(TOKENIZER, "response_template", template, raising=False)
    assert readable_turn(text, loaded, [ASKED], (WEATHER,)) == "I look.\n" + written('{"city": "Rome"}')
    assert readable_turn("I look.«no JSON»", loaded, [ASKED], (WEATHER,)) == "I look.«no JSON»"
    assert readable_turn("I look.", loaded, [ASKED], None) == "I look."


def test_turns_of_one_conversation_are_no_independent_trials() -> None:
    whole = judged(*[(saying("It is sunny."), "It is warm."), (saying("It rains."), "{{name}}")] * 4)
    alone = {one.name: one.value for one in whole.measures}[SOUND]
    steps = tuple(outcome.model_copy(update={"steps": (outcome,) * 9}) for outcome in whole.outcomes)
    [sound, *_] = kind_of(Help).measures(Help, steps)
    assert (sound.value.value, alone.value) == (0.5, 0.5)
    # Ten times the turns of the same conversations tell no more than one turn of each.
    assert sound.value.high - sound.value.low > 0.9 * (alone.high - alone.low)
