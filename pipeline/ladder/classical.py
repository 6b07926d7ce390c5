"""The arms without a language model: the most frequent answer, linear models, and the nearest training row."""

import itertools
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.finetuning.evaluate import EvalQuestion, compare_models, evaluate, questions
from pipeline.finetuning.exam import Answers, Questions
from pipeline.finetuning.examples import Example, read_examples
from pipeline.kinds.registry import kind_of
from pipeline.ladder.arm import Advance, Arm, CannotAnswer
from pipeline.ladder.choices_in_texts import ChoicesInTexts, fit_in_texts
from pipeline.ladder.linear_fields import (
    EMBEDDED,
    IN_TEXTS,
    NO_WORDS,
    STRENGTHS,
    FieldModel,
    HeldOut,
    closed_fields,
    fit_field,
    is_closed,
    value_at,
)
from pipeline.ladder.mentioned_choices import words_of
from pipeline.ladder.plan import VALIDATION
from pipeline.ladder.results import COPIED
from pipeline.ladder.retrieval import Memory, text_of
from pipeline.ladder.slot_answers import filled
from pipeline.ladder.slot_values import Found
from pipeline.ladder.tagger import Tagger, fit_tagger
from pipeline.releases.published_rows import published_inputs, published_targets
from pipeline.releases.versions import read_manifest
from schemas.arms_section import ArmName, Family
from schemas.field import JsonValue, TargetField
from schemas.field_values import leaf_paths
from schemas.task import Task
from schemas.task_fields import conversation_target

Targets = dict[str, JsonValue]

_MEANINGS, _NEIGHBORS = (0.0, 0.7), (1, 3, 5, 10, 20)
_MOST_HELD_OUT = 500
"""Questions by which the nearest rows are chosen."""


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
    """Answers with what the most similar training row answers, or what most of several do.

    How many, and by how much their meaning counts, is chosen where fields have choices and there are rows to choose by.
    """

    name = ArmName.NEAREST.value
    title = "the nearest training row"
    family = Family.CLASSICAL

    def __init__(self, task: type[Task], memory: Memory, held_out: Sequence[EvalQuestion] = ()) -> None:
        """Take the training rows, and questions by which it is chosen how they are asked."""
        self._task, self._memory, self._held_out = task, memory, held_out[:_MOST_HELD_OUT]
        self._meaning, self._rows = 0.0, 1

    def learn(self) -> None:
        """Choose by the held-out questions; what is no better by more than a standard error is not taken."""
        if not (self._held_out and closed_fields(self._task.task_targets())):
            return
        usual, best, chosen = None, 0.0, (0.0, 1)
        for meaning in _MEANINGS:
            ranked = list(self._ranked(self._held_out, meaning, max(_NEIGHBORS)))
            for rows in _NEIGHBORS:
                found = evaluate(self._task, self._held_out, [self._answer(*one, rows) for one in ranked])
                usual = usual or found
                gain = compare_models(usual, found).difference
                # A quarter of the 95% interval.
                if gain.value > best and gain.value > (gain.high - gain.low) / 4:
                    best, chosen = gain.value, (meaning, rows)
        self._meaning, self._rows = chosen
        shown = f"the {self._rows} nearest training rows" if self._rows > 1 else self.title
        self.title = f"{shown} by TF-IDF and embeddings" if self._meaning else shown

    def answer(self, questions: Questions, advance: Advance) -> Answers:
        """Look for each question's nearest rows."""
        texts = []
        for one in self._ranked(questions.asked, self._meaning, self._rows):
            texts.append(self._answer(*one, self._rows))
            advance(1)
        return Answers(texts, settings={"rows": float(self._rows), "share of embeddings": self._meaning})

    def _ranked(
        self, asked: Sequence[EvalQuestion], meaning: float, count: int
    ) -> Iterator[tuple[list[int], npt.NDArray[np.float32]]]:
        """For each question the most similar rows, and how similar they are."""
        for likeness in self._memory.likeness(asked, meaning):
            places = np.argsort(-likeness, kind="stable")[:count]
            yield places.tolist(), likeness[places]

    def _answer(self, places: Sequence[int], likeness: npt.NDArray[np.float32], rows: int) -> str:
        """Of each field the value with the most votes: of a likeness its square."""
        nearest = self._memory.rows[places[0]].answer
        if rows == 1:
            return nearest
        votes = np.maximum(likeness[:rows], 1e-6) ** 2
        golds = [published_targets(self._task, self._memory.rows[place].fields) for place in places[:rows]]
        targets: Targets = {}
        for field in self._task.task_targets():
            count: Counter[str] = Counter()
            for gold, vote in zip(golds, votes.tolist(), strict=True):
                count[json.dumps(gold[field.name], sort_keys=True)] += vote
            targets[field.name] = json.loads(count.most_common(1)[0][0])
        answer = self._task.task_answer(targets)
        return nearest if self._task.task_read_answer(answer) is None else answer


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
        self._embedded = False

    def learn(self) -> None:
        """Fit a model for each field with choices, and a tagger for values that stand in the text."""
        fields, memory = self._task.task_targets(), self._memory
        closed = closed_fields(fields)
        golds = [published_targets(self._task, row.fields) for row in memory.rows]
        self._tagger = fit_tagger(fields, memory.texts, golds, self._seed)
        if not closed and self._tagger is None:
            raise CannotAnswer("no field of the task has choices to choose from, or values that stand in the text")
        given = {path: [value_at(gold, path) for gold in golds] for path in closed}
        plain = self._fit(closed, given)
        if self._held_out and closed:
            other = self._fit(closed, given, plain)
            hits, more = (sum(model.hits for model in models.values()) for models in (plain, other))
            # One standard error.
            if more > hits + np.sqrt(hits * (1 - hits / (len(self._held_out) * len(closed)))):
                plain, self._embedded = other, True
        features = memory.embedded_features if self._embedded else memory.features
        for path, field in closed.items():
            self._models[path] = fit_in_texts(field, plain[path], features, memory.words, given[path], self._seed)
        self.title = self._title()

    def _fit(
        self,
        closed: Mapping[str, TargetField],
        given: Mapping[str, Sequence[JsonValue]],
        plain: Mapping[str, FieldModel] | None = None,
    ) -> dict[str, FieldModel]:
        """Models on TF-IDF, or as strong ones as ``plain`` that see embeddings, too."""
        memory, embedded = self._memory, plain is not None
        features = memory.embedded_features if embedded else memory.features
        seen = memory.seen(self._held_out, embedded=embedded) if self._held_out and closed else None
        found = {}
        for path, field in closed.items():
            right = [[value_at(gold, path) for gold in one.golds] for one in self._held_out]
            held_out = None if seen is None else HeldOut(seen, right)
            strengths = STRENGTHS if plain is None else (plain[path].strength,)
            found[path] = fit_field(field, features, given[path], held_out, self._seed, strengths)
        return found

    @property
    def _paths(self) -> set[str]:
        """The fields that are not those of the nearest row."""
        return {*self._models, *(() if self._tagger is None else self._tagger.paths)}

    def _title(self) -> str:
        """What the arm uses for this task, in words."""
        linear = "a linear model on TF-IDF" + (" and embeddings" if self._embedded else "")
        parts = {
            linear: "fields with choices" if self._models else "",
            "a CRF tagger": "values that stand in the text" if self._tagger is not None else "",
            "the nearest training row": "others" if {*leaf_paths(self._task.task_targets())} - self._paths else "",
        }
        used = [(model, fields) for model, fields in parts.items() if fields]
        return used[0][0] if len(used) == 1 else ", ".join(f"{model} for {fields}" for model, fields in used)

    def answer(self, questions: Questions, advance: Advance) -> Answers:
        """Predict each field."""
        asked, memory = questions.asked, self._memory
        values: dict[str, list[JsonValue]] = {}
        if self._models:
            seen, words = memory.seen(asked, embedded=self._embedded), [*map(words_of, memory.asked_texts(asked))]
            values = {path: model.predict(seen, words) for path, model in self._models.items()}
        others: Iterator[Targets] = itertools.repeat({})
        if not all(map(is_closed, self._task.task_targets())):
            others = (published_targets(self._task, memory.rows[at].fields) for [at] in memory.nearest(asked, 1))
        texts = []
        for row, (question, other) in enumerate(zip(asked, others, strict=False)):
            chosen = [Found(path, one, 1.0) for path, found in values.items() for one in _each(found[row])]
            texts.append(self._task.task_answer(self._completed(question, chosen, other)))
            advance(1)
        settings = {f"C of {path}": model.strength for path, model in self._models.items()}
        looked = sum(isinstance(model, ChoicesInTexts) for model in self._models.values())
        more = {NO_WORDS: float(not memory.has_words), IN_TEXTS: float(looked), EMBEDDED: float(self._embedded)}
        return Answers(texts, settings=settings | {name: number for name, number in more.items() if number})

    def _completed(self, question: EvalQuestion, chosen: Sequence[Found], usual: Targets) -> Targets:
        """An answer with what was chosen and what the text says, as far as it is one to the task."""
        task = self._task
        if self._tagger is not None:
            chosen = [*chosen, *self._tagger.read(text_of(task, question.inputs, question.prompt))]
        found = filled(task.task_targets(), self._paths, chosen, usual)
        if not usual or self._is_valid(found):
            return found
        for name, value in found.items():
            usual = changed if self._is_valid(changed := {**usual, name: value}) else usual
        return usual

    def _is_valid(self, targets: Targets) -> bool:
        return self._task.task_read_answer(self._task.task_answer(targets)) is not None


def _each(value: JsonValue) -> Sequence[JsonValue]:
    """The members of a set, or a value if there is one."""
    return value if isinstance(value, list) else [] if value is None else [value]
