"""Divides labeled rows into folds, so that no row is judged by a model that saw its group."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

FOLDS = 5

Ints = npt.NDArray[np.int64]


def folds_by_group(targets: Ints, groups: Sequence[str], seed: int) -> tuple[Ints, str]:
    """Assign whole groups to folds, so that each label is spread over as many folds as it has groups.

    A group counts for its rarest label. (scikit-learn's StratifiedGroupKFold can put all groups of a rare
    label into one fold, and its time grows with groups times folds times labels.) Returns every row's fold,
    and a note if groups had to be split.
    """
    # By their first rows: a group's name depends on which of its rows came first, but not on labels.
    codes = {group: code for code, group in enumerate(dict.fromkeys(groups))}
    member = np.array([codes[group] for group in groups], dtype=np.int64)
    sizes = np.bincount(member)
    note = ""
    if sizes.max() > len(targets) / 2:
        note = f"one group holds {sizes.max()} of {len(targets)} labeled rows, so its rows scored each other"
        member = np.arange(len(targets))
        sizes = np.ones_like(member)
    by_rarity = np.lexsort((targets, np.bincount(targets)[targets]))
    _, first = np.unique(member[by_rarity], return_index=True)
    rarest = targets[by_rarity][first]
    shuffled = np.random.default_rng(seed).permutation(len(sizes))
    fold = np.empty_like(sizes)
    fold[np.lexsort((shuffled, -sizes, rarest))] = np.arange(len(sizes)) % FOLDS
    return fold[member], note
