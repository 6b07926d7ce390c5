"""The exam of a model: which test questions it can be asked, how long it may answer, and what it answers."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from pipeline.errors import TrainingError, Unrendered
from pipeline.evaluation.scores import Credit
from pipeline.finetuning.answer_form import grammar_of
from pipeline.finetuning.base_model import LoadedModel
from pipeline.finetuning.evaluate import EvalQuestion, Evaluation, evaluate
from pipeline.finetuning.examples import Example, draw
from pipeline.finetuning.losses import answer_losses
from pipeline.finetuning.predict import answer_tokens, predict
from pipeline.finetuning.row_tokens import Tokens, as_tokens, calling_turns, messages_of, shows_calls, written_turn
from pipeline.finetuning.training_rows import LeftOut, no_calls_shown, reach
from pipeline.finetuning.written_turns import readable_turn
from pipeline.kinds.registry import kind_of
from pipeline.steps import Advance
from schemas.dataset import Finetune, Form
from schemas.task import Task
from schemas.task_fields import conversation_target

Show = Callable[[str, int | None], AbstractContextManager[Advance]]
"""Shows a stage while it runs: its name and number of units, then how many more are done."""

_MOST = 0.9
"""Share of the answers of a chat that are not longer than a model's may be."""


@dataclass(frozen=True)
class Questions:
    """The questions that are asked."""

    asked: list[EvalQuestion]
    steps: list[EvalQuestion]
    """For their calls before the last turn; what comes before a call is the prompt."""
    golds: list[Tokens]
    """Their rows with the first gold answer each, up to the length that the model reads."""
    left_out: dict[LeftOut, int]
    """How many are not asked, by reason. Those whose calls the template does not show are counted before the draw."""


def askable(questions: Sequence[EvalQuestion], task: type[Task], config: Finetune, base: LoadedModel) -> Questions:
    """Draw from the questions those to ask: the chat template shows them whole, with and without their answer.

    Raises:
        TrainingError: it shows none.
    """
    left_out = Counter[LeftOut]()
    shown, refused = [], ""
    for question in questions:
        try:
            whole = shows_calls(question.examples[0], base)
        except Unrendered:
            # It is refused below, if it is drawn.
            whole = True
        shown += [question] if whole else []
    left_out[LeftOut.UNSHOWN_CALLS] = len(questions) - len(shown)
    if questions and not shown:
        raise TrainingError(f"No test row can be asked. {no_calls_shown(len(questions), base)}")
    kind = kind_of(task)
    drawn = draw(shown, config.eval_rows, config.seed, stratum=lambda one: "\n".join(kind.strata(task, one.golds[0])))
    asked, steps, golds = [], [], []
    for question in drawn:
        example, before = question.examples[0], _steps(question, task)
        try:
            for one in (question, *before):
                base.text(one.prompt, example.tools, answer_follows=True)
            golds.append(as_tokens(example, base, config.turns, reach(config, base)))
            asked.append(question)
            steps += before
        except Unrendered as error:
            refused = refused or f"row {question.id}: {error}"
    left_out[LeftOut.UNRENDERED] = len(drawn) - len(asked)
    if refused and not asked:
        raise TrainingError(
            f"No test row can be asked: {refused}; set another finetune.base_model, or correct the rows"
        )
    return Questions(asked, steps, golds, {reason: count for reason, count in left_out.items() if count})


def longest_answer(examples: Iterable[Example], task: type[Task], base: LoadedModel) -> int:
    """How many tokens a model may answer with: as many as the gold answers have.

    Where texts are not what models are judged by, as most of them have: one long turn among thousands would let an
    untuned model write on for minutes in every answer.
    """
    answers = [text for example in examples for text in _written(example, base)]
    if kind_of(task).judged_by_loss:
        answers = sorted(answers, key=len)[: math.ceil(_MOST * len(answers))]
    return answer_tokens(base, answers)


def _written(example: Example, base: LoadedModel) -> list[str]:
    """An answer and the calls before it, as a model has to write them; none if the template does not show them."""
    messages = messages_of(example)
    places = calling_turns(example)
    if messages[-1].tool_calls or messages[-1].reasoning_content:
        places.append(len(messages) - 1)
    said = [] if len(messages) - 1 in places else [example.answer]
    try:
        shown = not places or shows_calls(example, base)
        return [*said, *(written_turn(example, place, base) for place in places)] if shown else []
    except Unrendered:
        return []


def _steps(question: EvalQuestion, task: type[Task]) -> list[EvalQuestion]:
    """A question for each call before the last turn; of tasks without a conversation there is none."""
    name, example = conversation_target(task), question.examples[0]
    messages = messages_of(example)
    return [
        question.model_copy(
            update={
                "prompt": tuple(messages[:place]),
                "golds": ({name: [messages[place].as_json()]},),
                "examples": (example,),
            }
        )
        for place in calling_turns(example)
    ]


@dataclass(frozen=True)
class Exam:
    """The questions, and how models answer them."""

    task: type[Task]
    config: Finetune
    questions: Questions
    longest: int
    """Tokens of an answer."""
    show: Show

    @property
    def grammar(self) -> str | None:
        """What the answers are held to."""
        return grammar_of(self.task) if self.config.form is Form.HELD else None

    def take(self, model: LoadedModel, label: str) -> Evaluation:
        """Let a model answer all questions, and judge the answers."""
        asked, steps = self.questions.asked, self.questions.steps
        answers = self._answers(model, [*asked, *steps], label)
        called = list(zip(steps, answers[len(asked) :], strict=True))
        return evaluate(self.task, asked, answers[: len(asked)], self._losses(model, label), called)

    def _answers(self, model: LoadedModel, asked: Sequence[EvalQuestion], label: str) -> list[str]:
        prompts = [question.prompt for question in asked]
        tools = [question.examples[0].tools for question in asked]
        calls = bool(conversation_target(self.task))
        with self.show(label, len(asked)) as advance:
            done = 0

            def progressed(answered: int, _: int) -> None:
                nonlocal done
                advance(answered - done)
                done = answered

            answers = predict(
                model,
                prompts,
                tools,
                max_new_tokens=self.longest,
                grammar=self.grammar,
                with_marks=calls,
                on_progress=progressed,
            )
        if not calls:
            return answers
        given = zip(answers, prompts, tools, strict=True)
        return [readable_turn(text, model, prompt, known) for text, prompt, known in given]

    def _losses(self, model: LoadedModel, label: str) -> list[Credit] | None:
        if not kind_of(self.task).judged_by_loss:
            return None
        rows = self.questions.golds
        with self.show(f"{label}: its loss on the gold answers", len(rows)) as advance:
            return answer_losses(model, rows, advance)
