"""The arm that asks a model at an OpenAI-compatible endpoint, such as a frontier model: no answer is paid for twice."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import orjson

from pipeline.config.price_file import CALLS, Prices
from pipeline.errors import StoreError
from pipeline.finetuning.evaluate import EvalQuestion
from pipeline.finetuning.exam import Answers, Questions
from pipeline.ladder.arm import Advance, Arm, CannotAnswerNow
from pipeline.ladder.retrieval import Memory
from pipeline.releases.published_rows import published_inputs, published_targets
from pipeline.suggestions.asker import Asker, Question, Shown
from pipeline.suggestions.asking import Asking, is_settled, last_word
from pipeline.suggestions.ledger import Ledger, Reply
from pipeline.text.wording import counted
from schemas.arms_section import EndpointArm, Family
from schemas.identity import stable_hash
from schemas.task import Task


@dataclass(frozen=True)
class Access:
    """How endpoints are reached, and what they charge."""

    keys: dict[str, str] = field(repr=False)
    """By the name of the environment variable; empty where none is set."""
    ledger: Path
    """Of all calls that arms have made."""
    prices: Prices
    encoding: str
    """By which tokens are counted that a server does not count."""
    retry_invalid: bool = False
    """Whether to ask anew what was never answered validly."""


class Endpoint(Arm):
    """A model elsewhere, shown the most similar training rows with their answers."""

    family = Family.PROMPT
    is_slow = True
    is_here = False

    def __init__(self, section: EndpointArm, task: type[Task], memory: Memory, access: Access) -> None:
        self._section, self._memory, self._access = section, memory, access
        self._asker = Asker(section.asked, task, keys=f"arms.{section.name}")
        self.name = section.name
        shots = f" with {counted(section.examples, 'retrieved example')}" if section.examples else ""
        self.title = f"{section.model}, prompted{shots}"

    def answer(self, questions: Questions, advance: Advance) -> Answers:
        """Ask about what the ledger has no answer to, and read all answers."""
        asked = self._questions(questions.asked)
        try:
            with Ledger(self._access.ledger) as ledger:
                # Nobody else is asking: what is still in flight was so when a run was killed.
                ledger.lose()
                if self._access.retry_invalid:
                    # A list: the ledger is not read while it is written.
                    ledger.set_aside([one.key for one in asked if self._is_invalid(one, ledger.replies(one.key))])
                known = self._ask(asked, ledger, advance)
                replies = [ledger.replies(one.key) for one in asked]
        except StoreError as error:
            raise CannotAnswerNow(str(error)) from error
        answers = self._read(asked, replies)
        return replace(answers, seconds=self._seconds(replies)) if known else answers

    def _questions(self, rows: Sequence[EvalQuestion]) -> list[Question]:
        nearest = self._memory.nearest(rows, self._section.examples) if self._section.examples else [[]] * len(rows)
        found = []
        for question, places in zip(rows, nearest, strict=True):
            # The most similar one last.
            shown = tuple(self._shown(place) for place in reversed(places))
            asked = replace(self._asker, examples=shown).question(question.id, question.inputs)
            # Under one name servers may have different models, and each has a speed of its own.
            found.append(replace(asked, key=stable_hash(self._section.endpoint, asked.key)))
        return found

    def _shown(self, place: int) -> Shown:
        row, task = self._memory.rows[place], self._asker.task
        inputs, targets = published_inputs(task, row.fields), published_targets(task, row.fields)
        return Shown(row.id, orjson.dumps(inputs, default=str).decode(), orjson.dumps(targets).decode())

    def _is_invalid(self, question: Question, replies: Sequence[Reply]) -> bool:
        is_valid = last_word(self._asker.task, question.inputs, replies).targets is not None
        return is_settled(self._asker, question, replies) and not is_valid

    def _ask(self, asked: Sequence[Question], ledger: Ledger, advance: Advance) -> int:
        """Ask about what has no settled answer; returns how many had one."""
        todo = [one for one in asked if not is_settled(self._asker, one, ledger.replies(one.key))]
        known = len(asked) - len(todo)
        advance(known)
        if not todo:
            return known
        key = self._access.keys.get(self._section.api_key_env, "")
        outcome = Asking(self._asker, ledger, key, self._access.encoding).ask(todo, advance)
        missing = outcome.waiting + outcome.failed
        if missing:
            why = outcome.why or outcome.first_failure
            raise CannotAnswerNow(
                f"{why}; the same command asks the {missing:,} of {counted(len(asked), 'question')} that have no "
                "answer, and pays for no other again"
            )
        return known

    def _seconds(self, replies: Sequence[Sequence[Reply]]) -> float:
        """How long all calls take with so many at once; 0 if none was measured."""
        every = [reply.seconds for given in replies for reply in given]
        taken = [seconds for seconds in every if seconds is not None]
        return statistics.fmean(taken) * len(every) / min(self._section.parallel, len(replies)) if taken else 0.0

    def _read(self, asked: Sequence[Question], replies: Sequence[Sequence[Reply]]) -> Answers:
        task, texts = self._asker.task, []
        for question, given in zip(asked, replies, strict=True):
            targets = last_word(task, question.inputs, given).targets
            texts.append(given[-1].text if targets is None else task.task_answer(targets))
        every = [reply for given in replies for reply in given]
        tokens_in, tokens_out = (
            sum(counts) for counts in zip(*((one.tokens_in, one.tokens_out) for one in every), strict=True)
        )
        taken = [reply.seconds for reply in every if reply.seconds is not None]
        cost = self._access.prices.of_tokens(self._section.model, tokens_in, tokens_out)
        return Answers(
            texts=texts,
            tokens_in=tokens_in,
            tokens_out=tokens_out,
            cost=None if cost is None else cost / CALLS,
            latency=statistics.median(taken) if taken else None,
        )
