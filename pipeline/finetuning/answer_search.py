"""Searches the tree of a finite list of answers for the likeliest one, for many prompts at once.

The log-likelihood of a beginning bounds all answers that begin so. The most promising beginnings are read first, each
on to a whole answer, and a prompt is done as soon as none that is left could lead to a likelier answer than the best
one found: that is the likeliest of all, not an approximation.
"""

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count

from pipeline.finetuning.answer_tokens import AnswerTree, shared_tokens
from pipeline.finetuning.token_tree import READ_AT_ONCE, ROOT, Floats, TokenTree

_FILL = 32
"""How many tokens more each round is filled up to with the next best beginnings, since few tokens take a forward pass
almost as long as many. A sure model is done after a round or two and would read them in vain; one that is not needs
almost all of them. Of 30 clauses, a tuned model read 2,045 tokens (with every round filled up to 64: 2,215, to 160:
2,594), and an untuned one 3,394 in 27 passes (never filled up: in 59)."""
_KEPT = 2 * READ_AT_ONCE
"""Tokens of answers that are kept beside the prompts of a batch; beyond that, they are read again if needed."""


@dataclass
class Row:
    """A prompt's tokens, and what is known of its answers."""

    ids: list[int]
    answers: AnswerTree
    ahead: Sequence[float]
    """Of each node, the most that is added to the log-likelihood of an answer behind it."""
    bounds: dict[int, float] = field(default_factory=lambda: {0: 0.0})
    """Log-likelihood up to each node that is known."""
    complete: dict[int, float] = field(default_factory=dict)
    """Log-likelihood of the answers that are known, by their number, with what is added to it."""
    best: float = -math.inf
    """The highest of them."""
    unread: list[tuple[float, int]] = field(default_factory=list)
    """A heap of nodes with children that were not read yet, by negative bound."""
    begun: list[tuple[float, int]] = field(default_factory=list)
    """The same of those that go on where the last ones that were read end."""
    places: dict[int, int] = field(default_factory=dict)
    """Of nodes that were read, in the tree of tokens."""
    spent: int = 0
    """Tokens of answers that were chosen to be read."""

    def take(self, most_tokens: float) -> int | None:
        """The next node to read, if one can lead to a better answer; beyond a limit, only what is begun is ended."""
        while self.begun:
            bound, node = self.begun.pop()
            if -bound > self.best:
                return node
            heapq.heappush(self.unread, (bound, node))
        if self.unread and -self.unread[0][0] > self.best and self.spent < most_tokens:
            return heapq.heappop(self.unread)[1]
        return None

    def learn(self, node: int, values: Floats) -> None:
        """Take in the log-probabilities of a node's children."""
        for child, value in zip(self.answers.children[node], values.tolist(), strict=True):
            if child in self.bounds:
                # It is read again, and may differ by a rounding.
                continue
            bound = self.bounds[child] = self.bounds[node] + value
            answer = self.answers.answer[child]
            if answer is not None:
                found = self.complete[answer] = bound + self.ahead[child]
                self.best = max(self.best, found)

    def branch(self, node: int) -> None:
        """Let the children of a node wait to be read, the likeliest of them first."""
        waiting = sorted(
            (-self.bounds[child] - self.ahead[child], child)
            for child in self.answers.children[node]
            if self.answers.children[child]
        )
        self.begun += waiting[:1]
        for one in waiting[1:]:
            heapq.heappush(self.unread, one)

    def ranked(self) -> tuple[int, float]:
        """The number of the likeliest answer, and by how many nats it is likelier than any other one, at least."""
        best = max(self.complete, key=self.complete.__getitem__)
        others = [value for answer, value in self.complete.items() if answer != best]
        return best, self.best - max([*others, *(-bound for bound, _ in self.unread[:1])], default=-math.inf)


# --- prompts ----------------------------------------------------------------------------------
def shared_beginning(ids: Sequence[int], before: Sequence[int]) -> int:
    """How many tokens a prompt begins with like another, its own last one excepted."""
    return min(shared_tokens(ids, before), len(ids) - 1)


def read_prompts(read: TokenTree, batch: Sequence[Row], trunk: int) -> None:
    """Read the prompts of a batch, and what all answers begin with."""
    reading = _Reading(read)
    # Of the row before, the place of each token.
    line, before = list(range(trunk)), None
    for row in batch:
        del line[shared_beginning(row.ids, before.ids) if before else trunk :]
        for token in row.ids[len(line) : -1]:
            line.append(reading.add_token(token, line[-1] if line else ROOT))
        line.append(reading.add_token(row.ids[-1], line[-1] if line else ROOT, row, 0))
        row.places = {0: line[-1]}
        reading.add_until_branch(row, 0)
        before = row
    reading.run()


# --- answers ----------------------------------------------------------------------------------
def search(read: TokenTree, batch: Sequence[Row], most_tokens: float) -> None:
    """Find the likeliest answers, in as many tokens of each prompt's answers; then take the best ones so far."""
    prompts = len(read)
    for done in count():
        chosen = _chosen(batch, most_tokens, min(_FILL * done, READ_AT_ONCE))
        if not chosen:
            return
        if len(read) > prompts + _KEPT:
            _forget_answers(read, batch, prompts)
        reading = _Reading(read)
        for row, node in chosen:
            reading.add_until_branch(row, node)
        reading.run()


def _chosen(batch: Sequence[Row], most_tokens: float, fill: int) -> list[tuple[Row, int]]:
    """The nodes to read next: the best of every row, and the next best ones until there are enough tokens."""
    chosen: list[tuple[Row, int]] = []
    tokens = 0
    for rank in count():
        before = len(chosen)
        for row in batch:
            if tokens >= (fill if rank else READ_AT_ONCE):
                return chosen
            node = row.take(most_tokens)
            if node is not None:
                length = len(row.answers.until_branch(node))
                chosen.append((row, node))
                row.spent += length
                tokens += length
        if len(chosen) == before:
            break
    return chosen


def _forget_answers(read: TokenTree, batch: Sequence[Row], prompts: int) -> None:
    """Keep only the prompts of what was read."""
    read.forget(prompts)
    for row in batch:
        row.places = {0: row.places[0]}


class _Reading:
    """The tokens of one forward pass, and what is asked of them."""

    def __init__(self, read: TokenTree) -> None:
        self._read, self._size = read, len(read)
        self._tokens: list[int] = []
        self._parents: list[int] = []
        self._asked: list[Sequence[int]] = []
        self._learning: list[tuple[int, Row, int]] = []
        """Which token tells which row what follows which node."""
        self._branching: list[tuple[Row, int]] = []

    def __len__(self) -> int:
        return len(self._tokens)

    def add_token(self, token: int, parent: int, row: Row | None = None, node: int = 0) -> int:
        """Read a token after another; with a row, it is the row's node, and what follows it is asked."""
        self._tokens.append(token)
        self._parents.append(parent)
        self._asked.append(row.answers.next_tokens[node] if row else ())
        if row:
            self._learning.append((len(self) - 1, row, node))
        return self._size + len(self) - 1

    def add(self, row: Row, node: int) -> None:
        """Read a node, and those before it that are not there."""
        missing = []
        while node not in row.places:
            missing.append(node)
            node = row.answers.parent[node]
        for one in reversed(missing):
            before = row.places[row.answers.parent[one]]
            row.places[one] = self.add_token(row.answers.token[one], before, row, one)

    def add_until_branch(self, row: Row, node: int) -> None:
        """Read on up to where answers differ."""
        end = row.answers.until_branch(node)[-1]
        self.add(row, end)
        self._branching.append((row, end))

    def run(self) -> None:
        """Read them all, and tell the rows."""
        values = self._read.read(self._tokens, self._parents, self._asked)
        for place, row, node in self._learning:
            row.learn(node, values[place])
        for row, node in self._branching:
            row.branch(node)
