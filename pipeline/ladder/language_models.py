"""The arms that ask a model on this machine: the base model by itself or with examples, and the adapter."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipeline.finetuning.evaluate import EvalQuestion
from pipeline.finetuning.exam import Answers, Exam, Questions
from pipeline.finetuning.examples import Example
from pipeline.finetuning.loaded_model import LoadedModel
from pipeline.finetuning.training_rows import context
from pipeline.ladder.arm import Advance, Arm
from pipeline.ladder.retrieval import Memory
from pipeline.text.wording import counted
from schemas.arms_section import ArmName, Family
from schemas.dataset import Finetune
from schemas.message import Message
from schemas.options import Form

_MOST_TOKENS = 64
"""Of a list of labels, read for each question: on clauses with 14 labels and questions with 77 no answer got better by
reading on (docs/decisions.md)."""


@dataclass(frozen=True)
class Candidate:
    """A model that answers questions, and how."""

    model: LoadedModel
    exam: Exam
    config: Finetune


class ZeroShot(Arm):
    """The base model, with the task's own prompt."""

    name = ArmName.ZERO_SHOT.value
    title = "the base model, prompted"
    family = Family.PROMPT
    is_slow = True

    def __init__(self, candidate: Candidate) -> None:
        self._candidate = candidate

    def answer(self, questions: Questions, advance: Advance) -> Answers:
        """Ask it."""
        one = self._candidate
        return one.exam.take(one.model, questions, advance, one.config.form, _MOST_TOKENS)


class FewShot(Arm):
    """The base model, shown the most similar training rows with their answers."""

    name = ArmName.FEW_SHOT.value
    family = Family.PROMPT
    is_slow = True

    def __init__(self, candidate: Candidate, memory: Memory, examples: int) -> None:
        self._candidate, self._memory, self._examples = candidate, memory, examples
        self.title = f"the base model, prompted with {counted(examples, 'retrieved example')}"

    def answer(self, questions: Questions, advance: Advance) -> Answers:
        """Ask it, with as many examples as it can read."""
        one = self._candidate
        every = [*questions.asked, *questions.steps]
        found = dict(zip(map(id, every), self._memory.nearest(every, self._examples), strict=True))
        judged = {id(one): sum(gold.learned) for one, gold in zip(questions.asked, questions.golds, strict=False)}
        shown = questions.reworded(
            lambda question: self._with_examples(question, found[id(question)], judged.get(id(question), 0)),
            one.model,
            one.config,
        )
        return one.exam.take(one.model, shown, advance, one.config.form, _MOST_TOKENS)

    def _with_examples(self, question: EvalQuestion, places: Sequence[int], judged: int) -> EvalQuestion:
        """The question after as many examples as fit beside an answer, the most similar one last.

        ``judged`` are the tokens of its gold answer whose loss counts; 0 if none is.
        """
        rows, model = [self._memory.rows[place] for place in places], self._candidate.model
        room = context(model) - max(self._candidate.exam.longest, judged)
        tools = question.examples[0].tools
        while True:
            prompt = with_examples(question.prompt, rows)
            if not rows or len(model.token_ids(prompt, tools, answer_follows=True)) <= room:
                break
            rows.pop()
        examples = tuple(replace(one, prompt=with_examples(one.prompt, rows)) for one in question.examples)
        return question.model_copy(update={"prompt": prompt, "examples": examples})


class Adapter(Arm):
    """The adapter on its base model."""

    family = Family.TUNED

    def __init__(self, candidate: Candidate, *, is_free: bool) -> None:
        """Take the model with the adapter, and whether it may write anything."""
        self._candidate = candidate
        self._form = Form.FREE if is_free else candidate.config.form
        self.name = (ArmName.ADAPTER_FREE if is_free else ArmName.ADAPTER).value
        self.title = "the adapter, writing freely" if is_free else "the adapter"
        self.is_slow = is_free

    def answer(self, questions: Questions, advance: Advance) -> Answers:
        """Ask it."""
        return self._candidate.exam.take(self._candidate.model, questions, advance, self._form)


def with_examples(prompt: Sequence[Message], rows: Sequence[Example]) -> tuple[Message, ...]:
    """A prompt that shows rows with their answers before its last message, the first row last."""
    *before, asked = prompt
    shown: list[Message] = []
    for row in reversed(rows):
        # Of no weight, so that the loss on it does not count as the question's.
        shown += [row.prompt[-1], *(turn.model_copy(update={"weight": 0.0}) for turn in row.completion)]
    return (*before, *shown, asked)
