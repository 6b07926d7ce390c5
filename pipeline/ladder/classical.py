"""The arms without a language model: the most frequent answer, linear models, and the nearest training row."""

import itertools
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.finetuning.evaluate import EvalQuestion, questions
from pipeline.finetuning.exam import Answers, Questions
from pipeline.finetuning.examples import Example, read_examples
from pipeline.kinds.registry import kind_of
from pipeline.ladder.arm import Advance, Arm, CannotAnswer
from pipeline.ladder.linear_fields import NO_WORDS, FieldModel, HeldOut, fit_field, is_closed
from pipeline.ladder.plan import VALIDATION
from pipeline.ladder.results import COPIED
from pipeline.ladder.retrieval import Memory, text_of
from pipeline.ladder.slot_answers import filled
from pipeline.ladder.tagger import Tagger, fit_tagger
from pipeline.releases.published_rows import published_inputs, published_targets
from pipeline.releases.versions import read_manifest
from schemas.arms_section import ArmName, Family
from schemas.field import JsonValue
from schemas.field_values import leaf_paths
from schemas.task import Task
from schemas.task_fields import conversation_target

Targets = dict[str, JsonValue]


class Majority(Arm):
    """Answers every question alike: what any other arm must beat."""

    name = ArmName.MAJORITY.value
    title = "the most frequent answer"
    family = Family.CLASSICAL

    def __init__(self, task: type[Task], rows: Sequence[Example]) -> None:
        self._task, self._rows = task, rows
        self._usual: Targets = {}

    def learn(self) -> None:
        """Count the values of each field, or see that the inputs can be copied."""
        if conversation_target(self._task):
            raise CannotAnswer("no two conversations are continued alike")
        if kind_of(self._task).copied(self._task, published_inputs(self._task, self._rows[0].fields)) is not None:
            self.title = COPIED
        golds = [published_targets(self._task, row.fields) for row in self._rows]
        for field in self._task.task_targets():
            counts = Counter(json.dumps(gold[field.name], sort_keys=True) for gold in golds)
            # Of equally frequent ones the first by its text, in whatever order the rows come.
            best = min(counts.items(), key=lambda item: (-item[1], item[0]))[0]
            self._usual[field.name] = json.loads(best)

    def answer(self, questions: Questions, advance: Advance) -> Answers:
        """The same for all; of a rewriting task the input as it is."""
        kind, task = kind_of(self._task), self._task
        texts = []
        for question in questions.asked:
            copied = kind.copied(task, question.inputs) or {}
            # What a copy leaves open is as usual.
            targets = {**self._usual, **{name: text for name, text in copied.items() if text is not None}}
            texts.append(task.task_answer(targets))
            advance(1)
        return Answers(texts)


class Nearest(Arm):
    """Answers with what the most similar training row answers."""

    name = ArmName.NEAREST.value
    title = "the nearest training row"
    family = Family.CLASSICAL

    def __init__(self, task: type[Task], memory: Memory) -> None:
        self._task, self._memory = task, memory

    def answer(self, questions: Questions, advance: Advance) -> Answers:
        """Look for each question's nearest row."""
        texts = []
        for [place] in self._memory.nearest(questions.asked, 1):
            texts.append(self._memory.rows[place].answer)
            advance(1)
        return Answers(texts)


def held_out_questions(version: Path, task: type[Task]) -> list[EvalQuestion]:
    """What a linear model chooses its regularization by: the validation split, or nothing if there is none."""
    if VALIDATION not in read_manifest(version).splits:
        return []
    return questions(task, read_examples(version, VALIDATION))


class Linear(Arm):
    """Answers by linear models: fields with choices, and values that stand in the text.

    Other fields are those of the nearest training row. So are the ones without which an answer is none to the task,
    such as a required value that is not found in the text.
    """

    name = ArmName.LINEAR.value
    title = "a linear model on TF-IDF"
    family = Family.CLASSICAL

    def __init__(self, task: type[Task], memory: Memory, held_out: Sequence[EvalQuestion], seed: int) -> None:
        """Take the training rows, and questions by which the regularization is chosen."""
        self._task, self._memory, self._held_out, self._seed = task, memory, held_out, seed
        self._models: dict[str, FieldModel] = {}
        self._tagger: Tagger | None = None

    def learn(self) -> None:
        """Fit a model for each field with choices, and a tagger for values that stand in the text."""
        fields = self._task.task_targets()
        closed = [field for field in fields if is_closed(field)]
        golds = [published_targets(self._task, row.fields) for row in self._memory.rows]
        self._tagger = fit_tagger(fields, self._memory.texts, golds, self._seed)
        if not closed and self._tagger is None:
            raise CannotAnswer("no field of the task has choices to choose from, or values that stand in the text")
        self.title = self._title(len(closed))
        seen = self._memory.seen(self._held_out) if self._held_out and closed else None
        for field in closed:
            right = [[gold[field.name] for gold in one.golds] for one in self._held_out]
            held_out = None if seen is None else HeldOut(seen, right)
            given = [gold[field.name] for gold in golds]
            self._models[field.name] = fit_field(field, self._memory.features, given, held_out, self._seed)

    def _title(self, closed: int) -> str:
        """What the arm uses for this task, in words."""
        tagged = frozenset() if self._tagger is None else self._tagger.paths
        copied = sum(set(leaf_paths([field])) <= tagged for field in self._task.task_targets())
        parts = {
            "a linear model on TF-IDF": "fields with choices" if closed else "",
            "a CRF tagger": "values that stand in the text" if tagged else "",
            "the nearest training row": "others" if closed + copied < len(self._task.task_targets()) else "",
        }
        used = [(model, fields) for model, fields in parts.items() if fields]
        return used[0][0] if len(used) == 1 else ", ".join(f"{model} for {fields}" for model, fields in used)

    def answer(self, questions: Questions, advance: Advance) -> Answers:
        """Predict each field."""
        fields = self._task.task_targets()
        seen = self._memory.seen(questions.asked) if self._models else None
        values = {name: model.predict(seen) for name, model in self._models.items()}
        others: Iterator[Targets] = itertools.repeat({})
        if len(values) < len(fields):
            rows = self._memory.rows
            others = (
                published_targets(self._task, rows[place].fields)
                for [place] in self._memory.nearest(questions.asked, 1)
            )
        texts = []
        for row, (question, other) in enumerate(zip(questions.asked, others, strict=False)):
            usual = {**other, **{name: found[row] for name, found in values.items()}}
            targets = {field.name: usual[field.name] for field in fields}
            texts.append(
                self._task.task_answer(
                    targets if self._tagger is None else self._tagged(self._tagger, question, targets)
                )
            )
            advance(1)
        strengths = {f"C of {name}": model.strength for name, model in self._models.items()}
        return Answers(texts, settings=strengths if self._memory.has_words else {**strengths, NO_WORDS: 1.0})

    def _tagged(self, tagger: Tagger, question: EvalQuestion, usual: Targets) -> Targets:
        """An answer with the values that the text says, as far as it is one to the task."""
        task, text = self._task, text_of(self._task, question.inputs, question.prompt)
        found = filled(task.task_targets(), tagger.paths, tagger.read(text), usual)
        if self._is_valid(found):
            return found
        for name, value in found.items():
            usual = changed if self._is_valid(changed := {**usual, name: value}) else usual
        return usual

    def _is_valid(self, targets: Targets) -> bool:
        return self._task.task_read_answer(self._task.task_answer(targets)) is not None
