"""Cells: rows with the same question and the same answer, up to formatting."""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.dedupe.candidates import MOST_CONFLICTING_ANSWERS, Candidate
from pipeline.dedupe.merge_policy import MergePolicy
from pipeline.text.meaning_guards import plain_answer, question
from schemas.dataset import OnConflict


@dataclass(slots=True)
class Cell:
    """The rows of one key and one answer, the most preferred first; they may include unlabeled ones."""

    members: list[Candidate]
    overridden: list[Candidate] = field(default_factory=list)
    """Rows of the key whose answer lost against the head's."""
    answer_heads: Sequence[str] = ()
    """The heads of all answers to the question, including this cell's; empty if there is no conflict."""
    own: str = ""
    """The one of them that represents this cell's answer."""
    follows: str = ""
    """A row in conflict that asks the same with other punctuation and has this cell's answer."""

    @property
    def head(self) -> Candidate:
        """The row that represents the others."""
        return self.members[0]

    @property
    def human_labeled(self) -> Candidate:
        """The row whose answer an annotator gave or confirmed, if there is one."""
        return next((row for row in self.members if row.human), self.head)

    @property
    def conflicting_answers(self) -> int:
        """How many other answers the question has."""
        return max(len(self.answer_heads) - 1, 0)

    @property
    def turn(self) -> tuple[Any, ...]:
        """Smaller may represent others. Rows in conflict are not duplicates of anything, so their similar rows must be
        theirs, or would be published.
        """
        return (self.head.merits, not self.conflicting_answers, self.head.preference)

    def first_conflicting_answers(self) -> tuple[str, ...]:
        """The heads of the first of them."""
        return tuple(
            itertools.islice((head for head in self.answer_heads if head != self.own), MOST_CONFLICTING_ANSWERS)
        )


def cells_of(candidates: Iterable[Candidate], policy: MergePolicy, on_conflict: OnConflict) -> list[Cell]:
    """The cells of some rows, in the order in which they may represent others; past rows get one each.

    With ``ANY_OF`` every answer of a key is right, and nothing conflicts.
    """
    by_key: dict[str, list[Candidate]] = defaultdict(list)
    past: list[Cell] = []
    for row in sorted(candidates, key=lambda row: row.preference):
        if row.past:
            past.append(Cell(members=[row]))
        else:
            by_key[row.key].append(row)
    cells = [cell for rows in by_key.values() for cell in _cells_of_key(rows, on_conflict)]
    if on_conflict is not OnConflict.ANY_OF and policy.similar_rows.threshold < 1:
        _oppose_across_keys(cells, policy)
    return sorted(past + cells, key=lambda cell: cell.turn)


def _cells_of_key(rows: Sequence[Candidate], on_conflict: OnConflict) -> list[Cell]:
    """One cell for each valid answer; if annotators decided, only their answers are valid."""
    if len(rows) == 1:
        # Most keys have one row, with nothing to decide.
        return [Cell(members=list(rows))]
    if rows[0].frozen:
        return _cells_around_frozen(rows, on_conflict)
    by_answer: dict[str, list[Candidate]] = defaultdict(list)
    unlabeled: list[Candidate] = []
    for row in rows:
        (unlabeled if row.answer is None else by_answer[row.answer]).append(row)
    if not by_answer:
        return [Cell(members=unlabeled)]
    divided = [_divide(members) for members in _not_overridden(by_answer, on_conflict)]
    # One shared list, however many there are.
    heads = [members[0].record_id for members, _ in divided]
    cells = [
        Cell(members=members, answer_heads=heads, own=head) for (members, _), head in zip(divided, heads, strict=True)
    ]
    answers = {cell.head.answer for cell in cells}
    cells[0].members.extend(unlabeled)
    left_out = [
        Cell(members=exposed, answer_heads=heads, own=head)
        for (_, exposed), head in zip(divided, heads, strict=True)
        if exposed
    ]
    if lost := [row for row in rows if row.answer is not None and row.answer not in answers]:
        # An annotator's answer counts, whether that row itself can be published or not.
        next(cell for cell in (*cells, *left_out) if cell.human_labeled.human).overridden.extend(lost)
    return cells + left_out


def _cells_around_frozen(rows: Sequence[Candidate], on_conflict: OnConflict) -> list[Cell]:
    """A cell for each row that is published as is, with its copies; rows with other answers conflict with it.

    A copy published in another split is not one of them: it stays there, and no row of the key may come here.
    """
    cells = [Cell(members=[row]) for row in rows if row.frozen]
    others: list[Candidate] = []
    for row in rows[len(cells) :]:
        hosts = (cell for cell in cells if row.answer in (None, cell.head.answer) and not _lies_elsewhere(row, cell))
        host = next(hosts, None)
        (others if host is None else host.members).append(row)
    rest = _cells_of_key(others, on_conflict) if others else []
    heads: dict[str, str] = {}
    for cell in (*cells, *rest):
        if cell.head.answer is not None:
            heads.setdefault(cell.head.answer, cell.head.record_id)
    if on_conflict is not OnConflict.ANY_OF and len(heads) > 1:
        for cell in rest:
            if cell.head.answer is not None:
                cell.answer_heads, cell.own = list(heads.values()), heads[cell.head.answer]
    return cells + rest


def _lies_elsewhere(row: Candidate, cell: Cell) -> bool:
    return row.published and row.split is not None and row.split != cell.head.split


def _divide(members: list[Candidate]) -> tuple[list[Candidate], list[Candidate]]:
    """The rows of a cell, and those of an evaluation set that were published in another split.

    The latter must be left out without the published ones.
    """
    published = {row.split for row in members if row.published and row.split}
    usable: list[Candidate] = []
    exposed: list[Candidate] = []
    for row in members:
        (exposed if published and row.evaluates and published != {row.split} else usable).append(row)
    return usable, exposed


def _not_overridden(by_answer: Mapping[str, list[Candidate]], on_conflict: OnConflict) -> list[list[Candidate]]:
    """The rows of each valid answer."""
    confirmed = {answer for answer, members in by_answer.items() if any(row.human for row in members)}
    if on_conflict is OnConflict.ANY_OF:
        replaced = {row.replaced for members in by_answer.values() for row in members if row.human}
        counting = [answer for answer in by_answer if answer in confirmed or answer not in replaced]
    else:
        counting = [answer for answer in by_answer if answer in confirmed or not confirmed]
    return [by_answer[answer] for answer in counting]


# --- other keys -------------------------------------------------------------------------------
def _oppose_across_keys(cells: Iterable[Cell], policy: MergePolicy) -> None:
    """Mark the cells that are in conflict though their keys differ, which is only in harmless punctuation.

    Annotators' answers to one of them say nothing about another, which may mean something else after all. So these
    are kept, and annotators are asked about other answers.
    """
    asked = [same for same in _of_equal_questions(cells) if len({cell.head.answer for cell in same}) > 1]
    policy.compare_all((first, cell.head) for same in asked for first in _first_answers(same) for cell in same)
    for same in asked:
        _oppose(_by_answer(same, policy), policy)


def _of_equal_questions(cells: Iterable[Cell]) -> Iterator[list[Cell]]:
    """The labeled cells that ask the same: only with equal words and several answers; the most preferred first."""
    by_text: defaultdict[int, list[Cell]] = defaultdict(list)
    for cell in cells:
        if cell.head.text >= 0 and cell.head.answer is not None:
            by_text[cell.head.text].append(cell)
    for same_words in by_text.values():
        several_keys = len({cell.head.key for cell in same_words}) > 1
        # Most are copies with one answer, without a conflict.
        if several_keys and len({cell.head.answer for cell in same_words}) > 1:
            same = defaultdict(list)
            for cell in sorted(same_words, key=lambda cell: cell.head.preference):
                same[question(cell.head.key)].append(cell)
            yield from same.values()


def _first_answers(same: Sequence[Cell]) -> list[Candidate]:
    """The heads of the first few answers: others are compared only with these, however many there are."""
    heads: dict[str | None, Candidate] = {}
    for cell in same:
        heads.setdefault(cell.head.answer, cell.head)
    return list(itertools.islice(heads.values(), MOST_CONFLICTING_ANSWERS))


def _by_answer(same: Sequence[Cell], policy: MergePolicy) -> list[list[Cell]]:
    """Cells that ask the same, by answers that are equivalent."""
    found: dict[str, list[Cell]] = {}
    names: dict[str, str] = {}
    """By a cell's head: the name of its answer."""
    firsts = _first_answers(same)
    for cell in same:
        name = plain_answer(str(cell.head.answer))
        if name not in found:
            equivalent = (
                names[first.record_id]
                for first in firsts
                if first.record_id in names and policy.answer_similarity(cell.head, first)
            )
            name = next(equivalent, name)
        found.setdefault(name, []).append(cell)
        names[cell.head.record_id] = name
    return list(found.values())


def _oppose(answers: Sequence[Sequence[Cell]], policy: MergePolicy) -> None:
    if len(answers) == 1:
        return
    heads = [cells[0].head.record_id for cells in answers]
    replaced = {row.replaced for cells in answers for cell in cells for row in cell.members if row.human}
    for cells, own in zip(answers, heads, strict=True):
        if any((row.human and row.answer is not None) or row.frozen for cell in cells for row in cell.members):
            continue
        first = cells[0].head
        for cell in cells[1:]:
            # One asks for all with its exact answer, or a similar one, unless annotators replaced that once already.
            same = cell.head.answer == first.answer or policy.answer_similarity(cell.head, first)
            if same and cell.head.answer not in replaced:
                cell.follows = own
        for cell in cells:
            cell.answer_heads, cell.own = heads, own
