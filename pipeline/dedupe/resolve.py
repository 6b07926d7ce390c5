"""Decides what each row is: kept, a duplicate, overruled, in conflict, or a bridge between splits.

The steps, for the rows that have anything to do with others:

1. Rows of one key and one answer form a *cell*; its most preferred row stands for it. Cells of the same words and
   different answers are in conflict.
2. A cell that resembles a more preferred one of the same answer joins it as near duplicates.
3. The cells that are kept are placed one by one into groups that move as one between splits. A cell
   whose neighbours lie in two splits is a bridge: it is left out, and 2 and 3 start over without it,
   because rows may have been duplicates of it.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pipeline.dedupe.groups import Groups, place
from pipeline.dedupe.judge import Judge
from pipeline.dedupe.likeness import Likeness, Neighbours
from pipeline.dedupe.meaning import signs
from pipeline.dedupe.rows import MOST_RIVALS, Candidate, Kept, Resolution
from schemas.dataset import OnConflict


@dataclass(slots=True)
class _Cell:
    """The rows of one key and one answer, the most preferred first; unlabeled ones are among them."""

    members: list[Candidate]
    overruled: list[Candidate] = field(default_factory=list)
    """Rows of the key whose answer lost against the head's."""
    standing: Mapping[str, str] = field(default_factory=dict)
    """All answers to what is asked, this cell's among them, with the row that stands for each; empty where it is
    the only one."""

    @property
    def head(self) -> Candidate:
        return self.members[0]

    @property
    def ruler(self) -> Candidate:
        """The row whose answer a person gave or confirmed, if there is one."""
        return next((row for row in self.members if row.human), self.head)

    @property
    def rivals(self) -> int:
        return max(len(self.standing) - 1, 0)

    def first_rivals(self) -> tuple[str, ...]:
        others = (head for answer, head in self.standing.items() if answer != self.head.answer)
        return tuple(itertools.islice(others, MOST_RIVALS))


def resolve(
    candidates: Iterable[Candidate],
    likeness: Likeness,
    on_conflict: OnConflict = OnConflict.REVIEW,
    *,
    answers_repeat: bool = True,
) -> dict[str, Resolution]:
    """Decide about every row; the result does not depend on the order in which they are given.

    Args:
        candidates: rows with distinct ids. Past rows have no part in the result.
        likeness: which texts are similar, and which written answers are alike.
        on_conflict: with ``ANY_OF`` every answer of a key is right, and nothing conflicts; overruled is
            only an answer that a person replaced by another.
        answers_repeat: similar rows mostly have one answer, as in classification, so a row without one may be
            a near duplicate. False where each has its own, as in extraction: messages of one template differ
            just in what is to be extracted.

    Returns:
        The resolution by record_id.
    """
    resolved, others = _without_loners(candidates, likeness)
    judge = Judge(likeness, answers_repeat)
    cells = _cells(others, judge, on_conflict)
    neighbours = _neighbours(cells, judge)
    bridges: dict[int, tuple[str, str]] = {}
    while True:
        kept = _absorb(cells, neighbours, judge, (number for number in range(len(cells)) if number not in bridges))
        groups, found = place(kept, neighbours)
        if not found:
            resolved |= dict([*_resolutions(cells, kept, groups, on_conflict), *_left_out(cells, bridges)])
            resolved |= dict(_corrected(resolved, kept, neighbours))
            past = {cell.head.record_id for cell in cells if cell.head.past}
            return {record_id: row for record_id, row in resolved.items() if record_id not in past}
        bridges |= found


def _without_loners(
    candidates: Iterable[Candidate], likeness: Likeness
) -> tuple[dict[str, Resolution], list[Candidate]]:
    """Keep the rows that have nothing to do with any other, which most rows have not; and the rest."""
    rows = list(candidates)
    keys = Counter(row.key for row in rows)
    alone = likeness.alone([row.text for row in rows], [row.written for row in rows]).tolist()
    kept: dict[str, Resolution] = {}
    others: list[Candidate] = []
    for row, is_alone in zip(rows, alone, strict=True):
        if is_alone and not row.partitions and not row.past and keys[row.key] == 1:
            kept[row.record_id] = Resolution(group=row.record_id, split=row.split)
        else:
            others.append(row)
    return kept, others


# --- 1: equal keys ----------------------------------------------------------------------------
def _cells(candidates: Iterable[Candidate], judge: Judge, on_conflict: OnConflict) -> list[_Cell]:
    by_key: dict[str, list[Candidate]] = defaultdict(list)
    past: list[_Cell] = []
    preferred = sorted(candidates, key=lambda row: row.preference)
    for row in preferred:
        if row.past:
            past.append(_Cell(members=[row]))
        else:
            by_key[row.key].append(row)
    cells = [cell for rows in by_key.values() for cell in _cells_of_key(rows, on_conflict)]
    if on_conflict is not OnConflict.ANY_OF and judge.likeness.threshold < 1:
        for asked in _of_equal_words(cells):
            _oppose(asked, judge)
    rank = {row.record_id: place for place, row in enumerate(preferred)}
    # Rows in conflict are nobody's duplicates, so what resembles them must be theirs, or it would be published.
    return sorted(past + cells, key=lambda cell: (cell.head.merits, not cell.rivals, rank[cell.head.record_id]))


def _cells_of_key(rows: Sequence[Candidate], on_conflict: OnConflict) -> list[_Cell]:
    """One cell for each answer that stands; where people decided, only their answers do."""
    if len(rows) == 1:
        # Most keys have one row, about which there is nothing to decide.
        return [_Cell(members=list(rows))]
    by_answer: dict[str, list[Candidate]] = defaultdict(list)
    unlabeled: list[Candidate] = []
    for row in rows:
        (unlabeled if row.answer is None else by_answer[row.answer]).append(row)
    if not by_answer:
        return [_Cell(members=unlabeled)]
    divided = [_divide(members) for members in _standing(by_answer, on_conflict)]
    # One for all, however many there are.
    standing = {str(members[0].answer): members[0].record_id for members, _ in divided}
    cells = [_Cell(members=members, standing=standing) for members, _ in divided]
    answers = {cell.head.answer for cell in cells}
    cells[0].members.extend(unlabeled)
    left_out = [_Cell(members=exposed) for _, exposed in divided if exposed]
    if lost := [row for row in rows if row.answer is not None and row.answer not in answers]:
        # What a person said counts, whether that very row can be published or not.
        next(cell for cell in (*cells, *left_out) if cell.ruler.human).overruled.extend(lost)
    return cells + left_out


def _divide(members: list[Candidate]) -> tuple[list[Candidate], list[Candidate]]:
    """The rows of a cell, and those of an evaluation set that were published elsewhere, in another split.

    These must be left out without the published ones.
    """
    published = {row.split for row in members if row.published and row.split}
    usable: list[Candidate] = []
    exposed: list[Candidate] = []
    for row in members:
        (exposed if published and row.evaluates and published != {row.split} else usable).append(row)
    return usable, exposed


def _standing(by_answer: Mapping[str, list[Candidate]], on_conflict: OnConflict) -> list[list[Candidate]]:
    """The rows of each answer that counts."""
    confirmed = {answer for answer, members in by_answer.items() if any(row.human for row in members)}
    if on_conflict is OnConflict.ANY_OF:
        replaced = {row.replaced for members in by_answer.values() for row in members if row.human}
        counting = [answer for answer in by_answer if answer in confirmed or answer not in replaced]
    else:
        counting = [answer for answer in by_answer if answer in confirmed or not confirmed]
    return [by_answer[answer] for answer in counting]


def _of_equal_words(cells: Iterable[_Cell]) -> Iterator[list[_Cell]]:
    """The labeled cells of several keys that ask the same in the same words and signs, the most preferred first."""
    by_text: defaultdict[int, list[_Cell]] = defaultdict(list)
    for cell in cells:
        if cell.head.text >= 0 and cell.head.answer is not None:
            by_text[cell.head.text].append(cell)
    for same_words in by_text.values():
        if len({cell.head.key for cell in same_words}) > 1:
            same = defaultdict(list)
            for cell in sorted(same_words, key=lambda cell: cell.head.preference):
                same[tuple(signs(cell.head.key))].append(cell)
            yield from same.values()


def _oppose(asked: Sequence[_Cell], judge: Judge) -> None:
    """Mark the cells that are in conflict though their keys differ, which is in nothing but punctuation.

    What people said about one of them says nothing about another, which may really mean something else. So theirs
    stand, and people are asked about those with other answers.
    """
    first = asked[0].head
    judge.expect((first, cell.head) for cell in asked)
    if not any(cell.head.answer != first.answer and not judge.alike(cell.head, first) for cell in asked):
        return
    standing: dict[str, str] = {}
    for cell in asked:
        standing.setdefault(str(cell.head.answer), cell.head.record_id)
    confirmed = {cell.head.answer for cell in asked if cell.ruler.human}
    for cell in asked:
        if cell.head.answer not in confirmed:
            cell.standing = standing


# --- 2: near duplicates -----------------------------------------------------------------------
def _neighbours(cells: Sequence[_Cell], judge: Judge) -> Neighbours:
    """By cell: the similar cells with their similarity.

    A cell whose like became the duplicate of another is compared with that one, too: in a crowd the search compares
    each text with a few others only, and the one that is kept need not be among them.
    """
    likeness = judge.likeness
    neighbours = likeness.neighbours([cell.head.text for cell in cells], [cell.head.written for cell in cells])
    heads = [cell.head for cell in cells]
    judge.expect((heads[one], heads[other]) for one, others in neighbours.items() for other in others)
    tried: set[tuple[int, int]] = set()
    while True:
        kept = _absorb(cells, neighbours, judge, sorted(neighbours))
        keeper = {cell: number for number, one in kept.items() for cell in one.joined}
        proposed = {
            (number, keeper[other])
            for number in kept
            for other in neighbours.get(number, ())
            if other in keeper and keeper[other] != number and keeper[other] not in neighbours[number]
        }
        judge.expect((heads[one], heads[other]) for one, other in proposed - tried)
        new = sorted(pair for pair in proposed - tried if _may_join(cells[max(pair)], cells[min(pair)].head, judge))
        if not new:
            return neighbours
        tried.update(new)
        found = likeness.similarities([(cells[one].head.text, cells[other].head.text) for one, other in new])
        for (one, other), similarity in zip(new, found, strict=True):
            if similarity >= likeness.threshold:
                neighbours[one][other] = neighbours[other][one] = similarity


def _absorb(cells: Sequence[_Cell], neighbours: Neighbours, judge: Judge, numbers: Iterable[int]) -> dict[int, Kept]:
    """Walk some cells in order of preference; each joins the first kept one it may, or is kept itself."""
    kept: dict[int, Kept] = {}
    for number in numbers:
        cell = cells[number]
        members = cell.members
        for other in sorted(neighbours.get(number, ())):
            if other in kept and _may_join(cell, kept[other].head, judge):
                similarity = judge.alike(cell.head, kept[other].head) or neighbours[number][other]
                members = _join(kept[other], cell, similarity, judge.likeness)
                kept[other].joined.append(number)
                break
        if members:
            kept[number] = Kept(head=members[0], exact=members[1:], overruled=list(cell.overruled))
    return kept


def _may_join(cell: _Cell, keeper: Candidate, judge: Judge) -> bool:
    """Whether a cell may be a near duplicate of a similar row.

    One whose key has several answers is nobody's duplicate: people need all of them.
    """
    return not (cell.rivals and cell.head.answer is not None) and judge.may_join(cell.head, keeper)


def _join(keeper: Kept, cell: _Cell, similarity: float, likeness: Likeness) -> list[Candidate]:
    """Make the cell's rows near duplicates of the keeper, each by its own similarity; return those too far."""
    known = {cell.head.text: similarity}
    others: list[Candidate] = []
    for row in cell.members:
        if row.text not in known:
            known[row.text] = likeness.similarities([(row.text, keeper.head.text)])[0]
        if known[row.text] >= likeness.threshold:
            keeper.near.append((row, known[row.text]))
        else:
            others.append(row)
    if not others:
        keeper.overruled.extend(cell.overruled)
    return others


# --- the result -------------------------------------------------------------------------------
def _resolutions(
    cells: Sequence[_Cell], kept: Mapping[int, Kept], groups: Groups, on_conflict: OnConflict
) -> Iterator[tuple[str, Resolution]]:
    """The resolution of every kept row and of the rows that it stands for."""
    overruled_by = {row.record_id: cell.ruler.record_id for cell in cells for row in cell.overruled}
    names = _names(kept, groups)
    for number, one in kept.items():
        root, keeper, cell = groups.root(number), one.head.record_id, cells[number]
        group, split = names[root], groups.split(root)
        kept_row = Resolution(group=group, split=split)
        if on_conflict is OnConflict.REVIEW and cell.rivals:
            kept_row.conflict, kept_row.rivals = cell.first_rivals(), cell.rivals
        yield keeper, kept_row
        if one.alone:
            continue
        for row in one.exact:
            yield row.record_id, Resolution(duplicate_of=keeper, exact=True, similarity=1.0, group=group, split=split)
        for row, similarity in one.near:
            yield row.record_id, Resolution(duplicate_of=keeper, similarity=similarity, group=group, split=split)
        for row in one.overruled:
            yield row.record_id, Resolution(overruled_by=overruled_by[row.record_id], group=group, split=split)


def _corrected(
    resolved: Mapping[str, Resolution], kept: Mapping[int, Kept], neighbours: Neighbours
) -> Iterator[tuple[str, Resolution]]:
    """The kept rows that still have the answer which a person replaced in a similar one.

    Until then they were its duplicates; now their answer is probably as wrong as that one was.
    """
    for number, one in kept.items():
        for other in sorted(neighbours.get(number, ())):
            like = kept[other].head if other in kept else None
            if like and like.human and like.replaced is not None and like.replaced == one.head.answer:
                head = one.head.record_id
                if not one.head.human:
                    yield head, replace(resolved[head], corrected=like.record_id)
                break


def _names(kept: Mapping[int, Kept], groups: Groups) -> dict[int, str]:
    """By root, the id of the earliest row of the group."""
    earliest: dict[int, tuple[bool, int, str]] = {}
    for number, one in kept.items():
        root, rows = groups.root(number), [one.head] if one.alone else one.rows()
        first = min((row.past, row.order, row.record_id) for row in rows)
        earliest[root] = min(first, earliest.get(root, first))
    return {root: record_id for root, (_, _, record_id) in earliest.items()}


def _left_out(cells: Sequence[_Cell], bridges: Mapping[int, tuple[str, str]]) -> Iterator[tuple[str, Resolution]]:
    """The rows of the bridges. What a person overruled stays so: the decision counts, published or not."""
    for number, splits in bridges.items():
        cell = cells[number]
        for row in cell.members:
            yield row.record_id, Resolution(bridges=splits)
        for row in cell.overruled:
            yield row.record_id, Resolution(overruled_by=cell.ruler.record_id)
