"""The exam of a model: which test questions it can be asked, how long it may answer, and what it answers."""

import functools
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from pipeline.errors import OutOfMemory, TrainingError, Unrendered
from pipeline.evaluation.scores import Credit
from pipeline.finetuning.answer_form import grammar_of
from pipeline.finetuning.closed_answers import likeliest
from pipeline.finetuning.evaluate import EvalQuestion, Evaluation, evaluate
from pipeline.finetuning.examples import Example, draw
from pipeline.finetuning.loaded_model import LoadedModel
from pipeline.finetuning.losses import answer_losses
from pipeline.finetuning.predict import answer_tokens, predict
from pipeline.finetuning.row_tokens import Tokens, as_tokens, calling_turns, messages_of, shows_calls
from pipeline.finetuning.training_libraries import lacks_memory
from pipeline.finetuning.training_rows import LeftOut, context, no_calls_shown, reach, readable
from pipeline.finetuning.written_turns import readable_turn
from pipeline.kinds.registry import kind_of
from pipeline.releases.published_rows import published_inputs
from schemas.dataset import Finetune, Form
from schemas.field import JsonValue, ValueType
from schemas.task import Task
from schemas.task_fields import conversation_target


@dataclass(frozen=True)
class Questions:
    """The questions that are asked."""

    asked: list[EvalQuestion]
    steps: list[EvalQuestion]
    """For their calls before the last turn; what comes before a call is the prompt."""
    golds: list[Tokens]
    """Their rows with the first gold answer each, up to the length that the model reads; none for kinds that are not
    judged by the loss on them."""
    left_out: dict[LeftOut, int]
    """How many are not asked, by reason. Those whose calls the template does not show are counted before the draw."""
    whole: Mapping[str, EvalQuestion] = field(default_factory=dict)
    """By their ids those of ``asked`` that were shortened, as they were before."""

    @property
    def work(self) -> int:
        """How many answers and losses a model has to give."""
        return len(self.asked) + len(self.steps) + len(self.golds)

    def some(self, places: slice) -> "Questions":
        """Some of them; they are in random order, so that the first few are a sample."""
        asked = self.asked[places]
        ids = {question.id for question in asked}
        steps = [step for step in self.steps if step.id in ids]
        return replace(self, asked=asked, steps=steps, golds=self.golds[places])

    @property
    def unshortened(self) -> "Questions":
        """The same as they were before any was shortened: what need not be trained has no ``max_length``."""
        return replace(self, asked=[self.whole.get(question.id, question) for question in self.asked])

    def reworded(
        self, change: Callable[[EvalQuestion], EvalQuestion], base: LoadedModel, config: Finetune
    ) -> "Questions":
        """The same with other prompts; of each gold answer the same tokens are judged, however long its prompt is."""
        asked = [change(question) for question in self.asked]
        golds = [
            _judged_alike(as_tokens(one.examples[0], base, config.turns, context(base)), gold)
            for one, gold in zip(asked, self.golds, strict=False)
        ]
        return replace(self, asked=asked, steps=[change(step) for step in self.steps], golds=golds)


def _judged_alike(row: Tokens, known: Tokens) -> Tokens:
    """A row of which as many tokens are judged as of another one, whose gold answer was cut at ``max_length``."""
    left = sum(known.learned)
    places = [place for place, learned in enumerate(row.learned) if learned][:left]
    end = places[-1] + 1 if places else 0
    # What follows the last one that is judged need not be read.
    return Tokens(row.ids[:end], row.learned[:end])


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
            if kind.judged_by_loss:
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


def whole_questions(
    asked: Sequence[EvalQuestion], rows: Iterable[Example], task: type[Task], base: LoadedModel, longest: int
) -> dict[str, EvalQuestion]:
    """Questions as they were before they were shortened, by their ids; none where rows are judged by their tokens.

    Args:
        asked: the questions.
        rows: those that were shortened, as they were.
        task: of the dataset.
        base: has to be able to read prompt and answer; what it cannot read stays short for all.
        longest: tokens of an answer.
    """
    known = {} if kind_of(task).judged_by_loss else {question.id: question for question in asked}
    found = {}
    for row in rows if known else ():
        if (question := known.get(row.id)) is None:
            continue
        if len(base.token_ids(row.prompt, row.tools, answer_follows=True)) + longest <= context(base):
            whole = {"prompt": row.prompt, "inputs": published_inputs(task, row.fields)}
            found[row.id] = question.model_copy(update=whole)
    return found


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


def _prompts(model: LoadedModel, questions: Questions) -> Iterator[list[int]]:
    return (model.token_ids(one.prompt, one.examples[0].tools, answer_follows=True) for one in questions.asked)


def _can_read(model: LoadedModel, question: EvalQuestion) -> bool:
    """Whether a model reads all of a prompt, and can then write something."""
    return len(model.token_ids(question.prompt, question.examples[0].tools, answer_follows=True)) < readable(model)


@dataclass(frozen=True)
class Answers:
    """What was answered, in the order of the questions."""

    texts: Sequence[str]
    losses: Sequence[Credit] | None = None
    """Of the gold answers, for kinds that are judged by their loss."""
    called: Sequence[tuple[EvalQuestion, str]] = ()
    """Questions for the calls before the last turn, and what was written."""
    tokens_in: int = 0
    """Of all prompts together; 0 if nobody counted."""
    tokens_out: int = 0
    cost: float | None = None
    """What all calls together were charged; None if nobody charges."""
    latency: float | None = None
    """Median seconds of a call, if they were counted one by one."""
    seconds: float | None = None
    """Seconds that all answers took, where that is not how long it took now: some are of an earlier run, or more was
    asked than they."""
    settings: Mapping[str, float] = field(default_factory=dict)
    """What the arm has chosen for itself, such as the strength of a regularization."""
    cut: Collection[int] = ()
    """The places of texts that a model on this machine had not ended at its longest length; of kinds that are judged
    by their loss, which is not that of what is written, nobody counts them."""

    def scored(self, task: type[Task], questions: Questions) -> Evaluation:
        """Judge them."""
        return evaluate(task, questions.asked, self.texts, self.losses, self.called, self.cut)


@dataclass(frozen=True)
class _Written:
    """What a model wrote, and the places of what it had not ended."""

    texts: list[str]
    cut: set[int]


@dataclass(frozen=True)
class Exam:
    """How models answer questions."""

    task: type[Task]
    longest: int
    """Tokens of an answer."""

    @functools.cached_property
    def grammar(self) -> str | None:
        """What held answers are held to; None if any text is an answer."""
        return grammar_of(self.task)

    @functools.cached_property
    def choices(self) -> list[str] | None:
        """All answers, if they are the choices of a single target; None if there are others."""
        fields = self.task.task_targets()
        if len(fields) != 1 or fields[0].type is not ValueType.CHOICE or fields[0].many:
            return None
        [field] = fields
        values: list[JsonValue] = [*field.choices, *([None] if field.optional else [])]
        # A task may write several of its values alike.
        return list(dict.fromkeys(self.task.task_answer({field.name: value}) for value in values))

    def take(
        self,
        model: LoadedModel,
        questions: Questions,
        advance: Callable[[int], None],
        form: Form = Form.HELD,
        most_tokens: int | None = None,
        beside: npt.NDArray[np.float64] | None = None,
    ) -> Answers:
        """Let a model answer questions.

        Args:
            model: with or without an adapter.
            questions: what it is asked.
            advance: called with how many more of ``questions.work`` are done.
            form: whether it is held to the form of the answers.
            most_tokens: of a list of answers, how many tokens are read for a question; None finds the likeliest for
                sure. A model that finds all of them unlikely takes long over that.
            beside: what another model says of ``choices``, questions x choices, in nats; only for held answers.

        Raises:
            OutOfMemory: the memory does not suffice for the longest question alone.
        """
        try:
            return self._taken(model, questions, advance, form, most_tokens, beside)
        except (MemoryError, RuntimeError) as error:
            if not lacks_memory(error):
                raise
            longest = max(len(prompt) for prompt in _prompts(model, questions))
            raise OutOfMemory(
                f"The memory does not suffice to ask {model.name} questions of up to {longest:,} tokens; give "
                "`few_shot` fewer examples (arms), cut long inputs (finetune.max_length with `--fix shorten`), or set "
                "a smaller finetune.base_model. What has been trained and answered so far is kept"
            ) from error

    def _taken(
        self,
        model: LoadedModel,
        questions: Questions,
        advance: Callable[[int], None],
        form: Form,
        most_tokens: int | None,
        beside: npt.NDArray[np.float64] | None,
    ) -> Answers:
        every = [*questions.asked, *questions.steps]
        began = time.perf_counter()
        written = self._written(model, every, advance, form, most_tokens, beside)
        took = time.perf_counter() - began
        texts = written.texts[: len(questions.asked)]
        losses = answer_losses(model, questions.golds, advance) if questions.golds else None
        return Answers(
            texts=texts,
            losses=losses,
            called=list(zip(questions.steps, written.texts[len(texts) :], strict=True)),
            tokens_in=sum(map(len, _prompts(model, questions))),
            tokens_out=sum(answer_tokens(model, [text]) for text in texts),
            # What it is judged by besides, losses and earlier calls, nobody waits or pays for.
            seconds=took * len(texts) / len(every) if questions.golds or questions.steps else None,
            cut=() if losses else tuple(sorted(place for place in written.cut if place < len(texts))),
        )

    def _written(
        self,
        model: LoadedModel,
        asked: Sequence[EvalQuestion],
        advance: Callable[[int], None],
        form: Form,
        most_tokens: int | None,
        beside: npt.NDArray[np.float64] | None,
    ) -> _Written:
        prompts = [question.prompt for question in asked]
        tools = [question.examples[0].tools for question in asked]
        if unread := [place for place, one in enumerate(asked) if not _can_read(model, one)]:
            # They are answered with nothing, which is wrong: past its end a model writes anything, or fails.
            advance(len(unread))
            read = [place for place in range(len(asked)) if place not in set(unread)]
            some = None if beside is None else beside[read]
            written = self._written(model, [asked[place] for place in read], advance, form, most_tokens, some)
            texts = dict(zip(read, written.texts, strict=True))
            cut = {read[place] for place in written.cut}
            return _Written([texts.get(place, "") for place in range(len(asked))], cut)
        calls = bool(conversation_target(self.task))
        done, cut = 0, set[int]()

        def progressed(answered: int, _: int) -> None:
            nonlocal done
            advance(answered - done)
            done = answered

        if form is Form.HELD and self.choices is not None:
            # The likeliest as a whole: a model that writes token by token may begin like none of the likely ones.
            found = likeliest(
                model,
                prompts,
                self.choices,
                tools=tools,
                most_tokens=most_tokens,
                beside=beside,
                on_progress=progressed,
            )
            return _Written([one.answer for one in found], cut)
        answers = predict(
            model,
            prompts,
            tools,
            max_new_tokens=self.longest,
            grammar=self.grammar if form is Form.HELD else None,
            with_marks=calls,
            on_progress=progressed,
            on_cut=cut.add,
        )
        if calls:
            given = zip(answers, prompts, tools, strict=True)
            answers = [readable_turn(text, model, prompt, known) for text, prompt, known in given]
        return _Written(answers, cut)
