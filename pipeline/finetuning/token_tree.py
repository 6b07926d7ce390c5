"""Lets a model read texts as a tree of tokens: what several of them begin with is read once.

All texts stand in one sequence, and each token sees its own ancestors only (an attention mask of four dimensions), at
the position that it has in its own text. So nothing is padded, and every token that is read counts.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from pipeline.finetuning.attention_masks import follows_masks, parameters
from pipeline.finetuning.loaded_model import LoadedModel

Floats = npt.NDArray[np.float32]

ROOT = -1
"""The parent of a text's first token."""
READ_AT_ONCE = 512
"""Tokens of one forward pass. A CPU reads fewer of them no faster, token by token, and more of them slower: the mask
covers all pairs of tokens, related or not (256: 552 tokens a second of one core, 512: 530, 1,024: 418, 2,048: 281)."""


class TokenTree(Protocol):
    """Tokens that were read, each by its place, in the order of reading."""

    def __len__(self) -> int:
        """How many there are."""

    def read(self, tokens: Sequence[int], parents: Sequence[int], asked: Sequence[Sequence[int]]) -> list[Floats]:
        """Read more of them.

        Args:
            tokens: their ids; their places follow those that were read before.
            parents: for each, the place of the token before it, smaller than its own, or ``ROOT``.
            asked: for each, ids of tokens that may come next.

        Returns:
            For each, the log-probabilities of those that were asked about, in nats.
        """

    def forget(self, size: int) -> None:
        """Keep only the tokens that were read first."""


def token_tree(loaded: LoadedModel, longest: int) -> TokenTree:
    """An empty tree for texts of at most so many tokens, of the fastest kind that the model can read."""
    return _CachedTree(loaded) if follows_masks(loaded.model, longest) else _PlainTree(loaded)


class _CachedTree:
    """Every token is read once, while those before it are kept as keys and values."""

    def __init__(self, loaded: LoadedModel) -> None:
        from transformers import DynamicCache

        self._model = loaded.model
        # Without the model's configuration all layers keep all tokens, those with a sliding window, too.
        self._cache = DynamicCache()
        self._cache_name = "cache" if "cache" in parameters(loaded.model) else "past_key_values"
        self._lines: list[tuple[tuple[int, int], ...]] = []
        """For each token, what it sees, itself included: ranges of places from the first to the last."""
        self._depths: list[int] = []

    def __len__(self) -> int:
        return len(self._lines)

    def read(self, tokens: Sequence[int], parents: Sequence[int], asked: Sequence[Sequence[int]]) -> list[Floats]:
        found: list[Floats] = []
        for start in range(0, len(tokens), READ_AT_ONCE):
            part = slice(start, start + READ_AT_ONCE)
            found += self._read(tokens[part], parents[part], asked[part])
        return found

    def _read(self, tokens: Sequence[int], parents: Sequence[int], asked: Sequence[Sequence[int]]) -> list[Floats]:
        import torch

        start = len(self)
        for parent in parents:
            self._add(parent)
        sees = np.zeros((len(tokens), len(self)), dtype=np.bool_)
        for row, line in enumerate(self._lines[start:]):
            for first, end in line:
                sees[row, first:end] = True
        device = self._model.device
        where = [row for row, wanted in enumerate(asked) if wanted] or [0]
        logits = self._model(
            input_ids=torch.tensor([tokens], device=device),
            attention_mask=torch.from_numpy(sees).to(device)[None, None],
            position_ids=torch.tensor([self._depths[start:]], device=device),
            logits_to_keep=torch.tensor(where, device=device),
            use_cache=True,
            **{self._cache_name: self._cache},
        ).logits[0]
        return _asked_of(logits, where, asked)

    def _add(self, parent: int) -> None:
        place = len(self._lines)
        line = self._lines[parent] if parent != ROOT else ()
        # A token that stands right after its parent prolongs its last range.
        first = line[-1][0] if line and parent == place - 1 else place
        self._lines.append((*(line[:-1] if first < place else line), (first, place + 1)))
        self._depths.append(self._depths[parent] + 1 if parent != ROOT else 0)

    def forget(self, size: int) -> None:
        if size < len(self):
            self._cache.crop(size - len(self))
            del self._lines[size:], self._depths[size:]


class _PlainTree:
    """Every text is read from its beginning, by itself and as any other: slow, but all models can do it."""

    def __init__(self, loaded: LoadedModel) -> None:
        self._model = loaded.model
        self._tokens: list[int] = []
        self._parents: list[int] = []

    def __len__(self) -> int:
        return len(self._tokens)

    def read(self, tokens: Sequence[int], parents: Sequence[int], asked: Sequence[Sequence[int]]) -> list[Floats]:
        start = len(self)
        self._tokens += tokens
        self._parents += parents
        found: list[Floats] = [np.empty(0, dtype=np.float32) for _ in tokens]
        waiting = {start + row for row, wanted in enumerate(asked) if wanted}
        while waiting:
            # From the last place on: what is on the way to it is answered in the same pass.
            text = self._text(max(waiting))
            where = [depth for depth, place in enumerate(text) if place in waiting]
            rows = [text[depth] - start for depth in where]
            known = self._ask([self._tokens[place] for place in text], where, [asked[row] for row in rows])
            for row, values in zip(rows, known, strict=True):
                found[row] = values
            waiting -= set(text)
        return found

    def _text(self, place: int) -> list[int]:
        """The places from the beginning to one."""
        places = []
        while place != ROOT:
            places.append(place)
            place = self._parents[place]
        return places[::-1]

    def _ask(self, tokens: list[int], where: list[int], asked: list[Sequence[int]]) -> list[Floats]:
        import torch

        device = self._model.device
        logits = self._model(
            input_ids=torch.tensor([tokens], device=device),
            logits_to_keep=torch.tensor(where, device=device),
            use_cache=False,
        ).logits[0]
        return _asked_of(logits, list(range(len(where))), asked)

    def forget(self, size: int) -> None:
        del self._tokens[size:], self._parents[size:]


def _asked_of(logits: Any, where: Sequence[int], asked: Sequence[Sequence[int]]) -> list[Floats]:
    """Log-probabilities, by the logits (places x vocabulary) of some places."""
    import torch

    counts = [len(asked[row]) for row in where]
    wanted = torch.tensor([token for row in where for token in asked[row]], dtype=torch.long, device=logits.device)
    rows = torch.repeat_interleave(torch.arange(len(where)), torch.tensor(counts)).to(logits.device)
    exact = logits.float()
    values = (exact[rows, wanted] - exact.logsumexp(dim=1)[rows]).cpu().numpy()
    found: list[Floats] = [np.empty(0, dtype=np.float32) for _ in asked]
    for row, part in zip(where, np.split(values, np.cumsum(counts)[:-1]), strict=True):
        found[row] = part
    return found
