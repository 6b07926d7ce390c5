"""Asks a model about rows, several at a time, within a budget; every answer is in the ledger before it is used."""

import json
import math
import queue
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pipeline.suggestions.answer_schema import Checked, check_answer
from pipeline.suggestions.asker import Asker, Question, corrected
from pipeline.suggestions.chat_completions import (
    AllRefused,
    CallFailed,
    ChatCompletions,
    Forbidden,
    FormRefused,
    Later,
    NoAnswer,
    NotSent,
    OutOfMoney,
    RowRefused,
)
from pipeline.suggestions.ledger import Ledger, Reply, Spent
from pipeline.text.tokens import count_tokens
from pipeline.text.wording import counted
from pipeline.time_limits import TooSlow
from schemas.suggest_section import Suggest
from schemas.task import Task

_FEW, _MANY = 3, 20
"""So many rows in a row without an answer mean that the others would have none either; more of them if the server
refuses each, which costs nothing and may be about these rows."""


@dataclass(frozen=True)
class Pauses:
    """How patient we are with a server that does not answer now."""

    first: float = 1.0
    """Seconds before the second try; each further pause is twice as long."""
    most: float = 60.0
    tries: int = 6
    """Of one call that the server did not carry out."""
    few: int = 2
    """The same of one that may have been paid, or that no server took."""


PAUSES = Pauses()


@dataclass
class Outcome:
    """What became of the rows that a model was to be asked about."""

    answered: int = 0
    """With a valid answer, which is in the ledger."""
    invalid: int = 0
    """Answered twice, both times not validly."""
    failed: int = 0
    """Without an answer, each for a reason of its own; they are asked again another time."""
    waiting: int = 0
    """Not asked, or without an answer, because the run ended early."""
    why: str = ""
    """Why it ended early."""
    is_spent: bool = False
    """Because the budget has no room for a further call."""
    first_failure: str = ""
    notes: list[str] = field(default_factory=list)


class _Stop(Exception):
    """No further call makes sense."""


def read_reply(task: type[Task], inputs: Mapping[str, Any], reply: Reply) -> Checked:
    """What an answer amounts to; one that was cut off counts as none, whatever it looks like."""
    if reply.cut:
        return Checked(problem="the answer was cut off before its end; answer more briefly")
    return check_answer(task, inputs, reply.text)


def last_word(task: type[Task], inputs: Mapping[str, Any], replies: Sequence[Reply]) -> Checked:
    """What all answers to a question amount to: the last one counts."""
    return read_reply(task, inputs, replies[-1]) if replies else Checked()


def is_settled(asker: Asker, question: Question, replies: Sequence[Reply]) -> bool:
    """Whether nothing more is asked about a question."""
    return len(replies) >= asker.turns or last_word(asker.task, question.inputs, replies).targets is not None


class Asking:
    """One run: a number of threads that share a budget, a stop and a pause."""

    def __init__(self, asker: Asker, ledger: Ledger, api_key: str, encoding: str) -> None:
        self._asker, self._ledger, self._key = asker, ledger, api_key
        self._section: Suggest = asker.section
        self._encoding = encoding
        self._spent: Spent = ledger.spent()
        self._scale = ledger.scale(asker.section.model)
        self._longest = asker.section.longest_answer or asker.section.max_tokens
        self._turn = threading.Lock()
        self._ended = threading.Event()
        self._outcome = Outcome()
        self._failures = 0
        self._forbidden: list[Forbidden] = []
        self._is_heard = False
        """Whether any answer came, valid or not: then the key may ask, and what is forbidden is about its row."""
        self._takes_schema = True

    def ask(self, questions: Sequence[Question], on_row: Callable[[int], None] = lambda rows: None) -> Outcome:
        """Ask about every row that the ledger has no settled answer for."""
        todo: queue.SimpleQueue[Question] = queue.SimpleQueue()
        done: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        for question in questions:
            todo.put(question)
        workers = min(self._section.parallel, len(questions))
        for _ in range(workers):
            # Daemons: after Ctrl-C nobody waits for a server that hangs.
            threading.Thread(target=self._work, args=(todo, done, on_row), daemon=True).start()
        try:
            for _ in range(workers):
                if (error := done.get()) is not None:
                    raise error
        finally:
            self._ended.set()
        outcome = self._outcome
        if self._forbidden and not self._is_heard and not outcome.why and outcome.failed == len(self._forbidden):
            outcome.why = self._forbids("every row", self._forbidden[0])
        outcome.waiting = len(questions) - outcome.answered - outcome.invalid - outcome.failed
        return outcome

    def _work(
        self,
        todo: "queue.SimpleQueue[Question]",
        done: "queue.SimpleQueue[BaseException | None]",
        on_row: Callable[[int], None],
    ) -> None:
        client = ChatCompletions(self._section, self._key)
        try:
            while not self._ended.is_set():
                self._settle(todo.get_nowait(), client)
                on_row(1)
        except (queue.Empty, _Stop):
            done.put(None)
        except BaseException as error:
            self._ended.set()
            done.put(error)
        else:
            done.put(None)
        finally:
            client.close()

    # --- one row ------------------------------------------------------------------------------
    def _settle(self, question: Question, client: ChatCompletions) -> None:
        task = self._asker.task
        replies = self._ledger.replies(question.key)
        try:
            while not is_settled(self._asker, question, replies):
                problem = last_word(task, question.inputs, replies).problem
                body = corrected(question, replies[-1].text, problem) if replies else dict(question.body)
                replies.append(self._answer(question, body, client))
        except CallFailed as error:
            self._fail(error)
            return
        checked = last_word(task, question.inputs, replies)
        with self._turn:
            self._failures = 0
            if checked.targets is None:
                self._outcome.invalid += 1
                self._outcome.first_failure = self._outcome.first_failure or checked.problem
            else:
                self._outcome.answered += 1

    def _fail(self, error: CallFailed) -> None:
        """Count a row without an answer; after a few in a row, the server is given up."""
        with self._turn:
            self._forbidden += [error] if isinstance(error, Forbidden) else []
            costs_nothing = isinstance(error, RowRefused) and (self._is_heard or not isinstance(error, Forbidden))
            most = _MANY if costs_nothing else _FEW
            self._failures += 1
            if self._failures < most:
                self._outcome.failed += 1
                self._outcome.first_failure = self._outcome.first_failure or str(error)
                return
        if isinstance(error, Later):
            raise self._stop(_asks_to_wait(self._section, error))
        if isinstance(error, Forbidden):
            raise self._stop(self._forbids(f"{most} rows in a row" if self._is_heard else "every row", error))
        is_slow = isinstance(error.__cause__, TooSlow)
        more = f"; raise {self._asker.keys}.timeout, or lower {self._asker.keys}.parallel" if is_slow else ""
        raise self._stop(f"{self._section.endpoint} gave no answer to {most} rows in a row: {error}{more}")

    def _forbids(self, rows: str, error: Forbidden) -> str:
        return f"{self._section.endpoint} refuses {rows}: {error}; {self._advice(error)}"

    def _stop(self, why: str) -> _Stop:
        with self._turn:
            self._outcome.why = self._outcome.why or why
        self._ended.set()
        return _Stop(why)

    def _answer(self, question: Question, body: dict[str, Any], client: ChatCompletions) -> Reply:
        """One answer, in as many tries as that is worth.

        Raises:
            CallFailed: there is none to this row.
            _Stop: nor will there be any to others.
        """
        refused, unsent = 0, 0
        while True:
            try:
                return self._call(question, body, f"{question.key}-{self._ledger.heard(question.key)}", client)
            except AllRefused as error:
                raise self._stop(f"{self._section.endpoint} refuses: {error}; {self._advice(error)}") from error
            except NotSent as error:
                unsent += 1
                if unsent >= PAUSES.few:
                    raise self._stop(
                        f"{self._section.endpoint} does not answer ({error}); start the server, or correct "
                        f"{self._asker.keys}.endpoint"
                    ) from error
                self._pause(unsent, None)
            except Later as error:
                refused += 1
                if (error.seconds or 0) > PAUSES.most:
                    raise self._stop(_asks_to_wait(self._section, error)) from error
                if refused >= PAUSES.tries:
                    raise
                self._pause(refused, error.seconds)
            except NoAnswer:
                refused += 1
                if refused >= PAUSES.few:
                    raise
                self._pause(refused, None)
            except FormRefused:
                # The schema may be the reason: not every server knows them.
                if body.pop("response_format", None) is None:
                    raise

    def _call(self, question: Question, body: dict[str, Any], idempotency: str, client: ChatCompletions) -> Reply:
        if self._ended.is_set():
            raise _Stop
        if not self._takes_schema:
            body.pop("response_format", None)
        prompt = prompt_tokens([body], self._encoding)[0]
        tokens, cost = self._most(prompt)
        call = self._reserve(question, tokens, cost)
        began = time.perf_counter()
        try:
            reply = client.complete(body, idempotency)
        except NoAnswer:
            self._ledger.lose(call)
            raise
        except CallFailed as error:
            # What a server has refused comes last in the next run, even where it refuses all: some do so for one row.
            if isinstance(error, NotSent):
                self._ledger.strike(call)
            else:
                self._ledger.refuse(call)
            self._count(-tokens[0], -tokens[1], -cost)
            raise
        seconds = time.perf_counter() - began
        self._is_heard = True
        self._learn(reply, prompt)
        reply = replace(self._with_usage(reply, prompt), seconds=seconds)
        paid = self._cost(reply.tokens_in, reply.tokens_out)
        self._ledger.complete(call, reply, paid)
        self._count(reply.tokens_in - tokens[0], reply.tokens_out - tokens[1], paid - cost)
        self._note(question, reply, body)
        return reply

    # --- what it costs ------------------------------------------------------------------------
    def _most(self, prompt: int) -> tuple[tuple[int, int], float]:
        """The most that a call can use: tokens of the prompt and of the answer, and the cost of both.

        ``prompt`` is our own count of the prompt's tokens, here and below.
        """
        with self._turn:
            scale, longest = self._scale, self._longest
        most = math.ceil(scale * prompt)
        return (most, longest), self._cost(most, longest)

    def _learn(self, reply: Reply, prompt: int) -> None:
        """Expect of later calls what the server counts, where that is more than we do."""
        with self._turn:
            self._longest = max(self._longest, reply.tokens_out)
            if reply.tokens_in > self._scale * prompt:
                self._scale = self._ledger.scale(self._section.model, reply.tokens_in / prompt)

    def _cost(self, tokens_in: int, tokens_out: int) -> float:
        return cost_of(self._section, tokens_in, tokens_out)

    def _reserve(self, question: Question, tokens: tuple[int, int], cost: float) -> int:
        """Enter a call if the budget has room for the most that it can use."""
        section = self._section
        with self._turn:
            spent = self._spent
            if section.max_cost is not None and spent.cost + cost > section.max_cost:
                why = f"suggest.max_cost is {section.max_cost:g}, and {spent.cost:.4g} of it are spent; raise it"
            elif section.max_total_tokens is not None and spent.tokens + sum(tokens) > section.max_total_tokens:
                why = (
                    f"suggest.max_total_tokens is {section.max_total_tokens:,}, and {spent.tokens:,} of them are "
                    "used; raise it"
                )
            else:
                self._add(*tokens, cost)
                return self._ledger.enter(question.key, section.model, *tokens, cost)
            self._outcome.is_spent = True
        raise self._stop(why)

    def _count(self, tokens_in: int, tokens_out: int, cost: float) -> None:
        with self._turn:
            self._add(tokens_in, tokens_out, cost)

    def _add(self, tokens_in: int, tokens_out: int, cost: float) -> None:
        spent = self._spent
        self._spent = Spent(
            tokens_in=spent.tokens_in + tokens_in, tokens_out=spent.tokens_out + tokens_out, cost=spent.cost + cost
        )

    def _with_usage(self, reply: Reply, prompt: int) -> Reply:
        """With our own count of tokens, where the server gives none."""
        if reply.tokens_in or reply.tokens_out:
            return reply
        written = count_tokens([reply.text], self._encoding)[0]
        return Reply(reply.text, reply.cut, reply.model, prompt, written)

    # --- waiting, and what to say ---------------------------------------------------------------
    def _pause(self, number: int, asked: float | None) -> None:
        """Wait before a further try, longer each time; as long as the server asks, if that proves enough."""
        longest = min(PAUSES.most, PAUSES.first * 2 ** (number - 1))
        own = longest * random.uniform(0.5, 1.0)  # noqa: S311 (no secret)
        seconds = own if asked is None else asked if number == 1 else max(asked, own)
        if self._ended.wait(seconds):
            raise _Stop

    def _note(self, question: Question, reply: Reply, body: Mapping[str, Any]) -> None:
        section = self._section
        notes = []
        if "response_format" in question.body and "response_format" not in body:
            self._takes_schema = False
            notes.append(f"{section.endpoint} takes no JSON schema; its answers are validated all the same")
        if reply.model and not _is_same_model(reply.model, section.model):
            notes.append(f"{section.endpoint} answers as '{reply.model}', not as '{section.model}'")
        with self._turn:
            self._outcome.notes += [note for note in notes if note not in self._outcome.notes]

    def _advice(self, error: CallFailed) -> str:
        name, keys = self._section.api_key_env, self._asker.keys
        if isinstance(error, OutOfMoney):
            return "its account has no money left, or has spent as much as it may; top it up or raise its limit"
        match str(error)[:3]:
            case "401" | "403" if not self._key:
                return f"set {name}, which is empty"
            case "401":
                return f"the key in {name} is not accepted"
            case "403":
                return (
                    f"see whether the key in {name} may use '{self._section.model}' and has reached no limit; "
                    "the next run asks about other rows first"
                )
            case "404":
                return f"correct {keys}.model, or {keys}.endpoint, which ends in /v1 mostly"
            case _:
                return f"correct {keys}.endpoint"


def _asks_to_wait(section: Suggest, error: Later) -> str:
    how_long = f", {counted(math.ceil(error.seconds), 'second')}" if error.seconds else ""
    return f"{section.endpoint} asks to wait: {error}{how_long}"


def _is_same_model(said: str, named: str) -> bool:
    """Whether a server's name is the one in the dataset.yaml, possibly with a date or a folder."""
    one, other = (name.lower().rpartition("/")[2] for name in (said, named))
    return one.startswith(other) or other.startswith(one)


def cost_of(section: Suggest, tokens_in: int, tokens_out: int) -> float:
    """What tokens cost, at the prices of the dataset.yaml; 0 without prices."""
    return (tokens_in * (section.price_in or 0) + tokens_out * (section.price_out or 0)) / 1e6


def prompt_tokens(bodies: Sequence[Mapping[str, Any]], encoding: str) -> list[int]:
    """The tokens of some requests, schema and the frame of each message included."""
    parts = ("messages", "response_format", "tools")
    texts = [json.dumps([body.get(part) for part in parts], ensure_ascii=False) for body in bodies]
    return count_tokens(texts, encoding)
