"""Divides labeled rows into folds, so that no row is judged by a model that saw its group."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

FOLDS = 5

Ints = npt.NDArray[np.int64]


def members_of(groups: Sequence[str]) -> tuple[Ints, str]:
    """The code of each row's group; every row is its own if one holds most of them, and then a note says so."""
    # By their first rows: a group's name depends on which of its rows came first, but not on labels.
    codes = {group: code for code, group in enumerate(dict.fromkeys(groups))}
    member = np.array([codes[group] for group in groups], dtype=np.int64)
    largest = np.bincount(member).max()
    if largest <= len(groups) / 2:
        return member, ""
    return np.arange(
        len(groups)
    ), f"one group holds {largest} of {len(groups)} labeled rows, so its rows scored each other"


def folds_by_group(targets: Ints, groups: Sequence[str], seed: int) -> tuple[Ints, str]:
    """Assign whole groups to folds, so that each label is spread over as many folds as it has groups.

    A group counts for its rarest label. (scikit-learn's StratifiedGroupKFold can put all groups of a rare
    label into one fold, and its time grows with groups times folds times labels.) Returns every row's fold,
    and a note if groups had to be split.
    """
    member, note = members_of(groups)
    return folds_of_members(targets, member, seed), note


def folds_of_members(targets: Ints, member: Ints, seed: int) -> Ints:
    """The same for groups by their codes."""
    by_rarity = np.lexsort((targets, np.bincount(targets)[targets]))
    _, first = np.unique(member[by_rarity], return_index=True)
    rarest = targets[by_rarity][first]
    shuffled = np.random.default_rng(seed).permutation(len(rarest))
    fold = np.empty(len(rarest), dtype=np.int64)
    fold[np.lexsort((shuffled, -np.bincount(member), rarest))] = np.arange(len(rarest)) % FOLDS
    found: Ints = fold[member]
    return found
