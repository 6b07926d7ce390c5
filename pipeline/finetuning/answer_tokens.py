"""The tokens of a finite list of answers, as a chat template writes them after a prompt, and the tree they form."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.errors import TrainingError
from pipeline.finetuning.held_to_form import ends_of
from pipeline.finetuning.loaded_model import LoadedModel, Tools
from schemas.message import Message, Speaker


@dataclass(frozen=True)
class AnswerTokens:
    """What may follow a prompt."""

    joined: list[int]
    """Tokens at the end of every prompt that become others once an answer follows; mostly there are none."""
    paths: list[list[int]]
    """For each answer, its tokens from there on, the end of the turn included."""

    def prompt_tokens(self, ids: list[int], name: str) -> list[int]:
        """A prompt without the tokens that are joined with the answer.

        Raises:
            TrainingError: it ends in others.
        """
        kept = len(ids) - len(self.joined)
        if ids[kept:] != self.joined:
            raise TrainingError(
                f"The chat template of {name} opens answers in several ways, so that their tokens cannot be told from "
                "those of the prompt; use another finetune.base_model"
            )
        return ids[:kept]


def answer_tokens_after(
    loaded: LoadedModel, prompt: Sequence[Message], tools: Tools, answers: Sequence[str]
) -> AnswerTokens:
    """Tokenize answers where they stand, after a prompt.

    Raises:
        TrainingError: there are no answers, two of them are the same to the model, or one is longer than it can read.
        Unrendered: the template fails.
    """
    if not answers:
        raise TrainingError("There are no answers to choose from; give the task's field at least one choice")
    opening = loaded.text(prompt, tools, answer_follows=True)
    texts = [opening + _said(loaded, prompt, tools, opening, answer) for answer in answers]
    before: list[int] = loaded.tokenizer(opening, add_special_tokens=False)["input_ids"]
    whole: list[list[int]] = loaded.tokenizer(texts, add_special_tokens=False)["input_ids"]
    shared = min(shared_tokens(before, ids) for ids in whole)
    found = AnswerTokens(before[shared:], [_ended(loaded, ids[shared:]) for ids in whole])
    _check(loaded, answers, found.paths)
    return found


def shared_tokens(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two texts begin with."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (left, right) in pairs if left != right), min(len(one), len(other)))


def _said(loaded: LoadedModel, prompt: Sequence[Message], tools: Tools, opening: str, answer: str) -> str:
    """What the template writes after the prompt for an answer."""
    turn = Message(role=Speaker.ASSISTANT, content=answer)
    whole, shown = loaded.text([*prompt, turn], tools, answer_follows=False), answer.strip()
    # Some templates write a prompt differently once it is answered; then the answer follows the open turn.
    said = whole[len(opening) :] if whole.startswith(opening) else whole[whole.rfind(shown) :]
    if shown not in said:
        raise TrainingError(
            f"The chat template of {loaded.name} does not show the answer '{answer[:60]}'; use another "
            "finetune.base_model"
        )
    return said


def _ended(loaded: LoadedModel, ids: list[int]) -> list[int]:
    """An answer's tokens up to the one that ends it; a template may write more after that."""
    ends = ends_of(loaded)
    place = next((place for place, token in enumerate(ids) if token in ends), None)
    # A template that ends no answers leaves it to the model.
    return [*ids, ends[0]] if place is None else ids[: place + 1]


def _check(loaded: LoadedModel, answers: Sequence[str], paths: list[list[int]]) -> None:
    seen: dict[tuple[int, ...], int] = {}
    for number, path in enumerate(paths):
        other = seen.setdefault(tuple(path), number)
        if other != number:
            raise TrainingError(
                f"The answers '{answers[other]}' and '{answers[number]}' are the same to {loaded.name}; remove one, or "
                "rename it"
            )
    longest = max(range(len(paths)), key=lambda number: len(paths[number]))
    limit = getattr(loaded.model.config, "max_position_embeddings", None)
    if limit is not None and len(paths[longest]) > limit:
        raise TrainingError(
            f"The answer '{answers[longest][:60]}' has {len(paths[longest]):,} tokens, but {loaded.name} reads no more "
            f"than {limit:,}; shorten it, or use another finetune.base_model"
        )


class AnswerTree:
    """Answers by their tokens: those that begin alike share nodes. Node 0 is the end of the prompt."""

    def __init__(self, paths: Sequence[Sequence[int]]) -> None:
        self.token, self.parent, self.depth = [-1], [-1], [0]
        self.children: list[list[int]] = [[]]
        self.answer: list[int | None] = [None]
        """The number of the answer that is complete at a node."""
        known: dict[tuple[int, int], int] = {}
        for number, path in enumerate(paths):
            node = 0
            for token in path:
                node = known.get((node, token)) or self._add(node, token, known)
            self.answer[node] = number
        self.next_tokens = [[self.token[child] for child in children] for children in self.children]

    def _add(self, parent: int, token: int, known: dict[tuple[int, int], int]) -> int:
        node = known[parent, token] = len(self.token)
        self.token.append(token)
        self.parent.append(parent)
        self.depth.append(self.depth[parent] + 1)
        self.children.append([])
        self.children[parent].append(node)
        self.answer.append(None)
        return node

    def highest(self, values: Sequence[float]) -> list[float]:
        """For each node the highest of some values of the answers behind it, one value for each answer."""
        found = [-math.inf] * len(self.token)
        # Parents come before their children.
        for node in range(len(self.token) - 1, -1, -1):
            answer, parent = self.answer[node], self.parent[node]
            if answer is not None:
                found[node] = float(values[answer])
            if parent >= 0:
                found[parent] = max(found[parent], found[node])
        return found

    def until_branch(self, node: int) -> list[int]:
        """A node with children, and those after it that cannot be avoided, except for the last of an answer."""
        chain = [node]
        while len(self.children[chain[-1]]) == 1 and self.children[self.children[chain[-1]][0]]:
            chain.append(self.children[chain[-1]][0])
        return chain
