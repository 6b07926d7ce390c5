"""Decides what each row is: kept, a duplicate, overridden, in conflict, or a bridge between splits.

The steps, for the rows that are related to others:

1. Rows with one key and one answer form a *cell*; the most preferred row is its head. Cells with one question and
   different answers are in conflict.
2. A cell that is similar to a more preferred one with the same answer joins it as near-duplicates.
3. The kept cells are placed one by one into groups that move together between splits. If the
   neighbors of a cell are in two splits, its head is a bridge: it is left out, and 2 and 3
   start over without it, because rows may have been duplicates of it.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from pipeline.dedupe.candidates import Candidate, Kept, Resolution
from pipeline.dedupe.cells import Cell, cells_of
from pipeline.dedupe.groups import Groups, PublishedTexts, connected, place
from pipeline.dedupe.merge_policy import MergePolicy
from pipeline.dedupe.neighbors import Neighbors, SimilarRows
from schemas.dataset import OnConflict


def resolve(
    candidates: Iterable[Candidate],
    similar_rows: SimilarRows,
    on_conflict: OnConflict = OnConflict.REVIEW,
    *,
    answers_repeat: bool = True,
) -> dict[str, Resolution]:
    """Decide about every row; the result does not depend on the order of the rows.

    Args:
        candidates: rows with distinct ids. Past rows have no entry in the result.
        similar_rows: which texts, and which free-text answers, are similar.
        on_conflict: with ``ANY_OF`` every answer of a key is right, and nothing conflicts; only an answer that an
            annotator replaced is overridden.
        answers_repeat: similar rows mostly have the same answer, as in classification, so an unlabeled row may be
            a near-duplicate. False if each row has its own, as in extraction: messages of one template differ
            only in what is to be extracted.

    Returns:
        The resolution by record_id.
    """
    resolved, others = _without_loners(candidates, similar_rows)
    policy = MergePolicy(similar_rows, answers_repeat)
    cells = cells_of(others, policy, on_conflict)
    neighbors = _neighbors(cells, policy)
    alike = similar_rows.alike(neighbors, [cell.head.letters for cell in cells])
    settled, bridges = _settle(cells, neighbors, alike, policy)
    for kept, groups in settled:
        resolved |= dict(_resolutions(cells, kept, groups, on_conflict))
        resolved |= dict(_corrected(resolved, kept, neighbors))
    resolved |= {record_id: Resolution(bridges=splits) for record_id, splits in bridges.items()}
    resolved |= dict(_overridden_by_bridges(cells, bridges))
    past = {cell.head.record_id for cell in cells if cell.head.past}
    return {record_id: row for record_id, row in resolved.items() if record_id not in past}


def _without_loners(
    candidates: Iterable[Candidate], similar_rows: SimilarRows
) -> tuple[dict[str, Resolution], list[Candidate]]:
    """Keep the rows that are unrelated to any other, which are most; return the rest, too."""
    rows = list(candidates)
    keys = Counter(row.key for row in rows)
    texts, free_text = [row.text for row in rows], [row.free_text for row in rows]
    alone = similar_rows.alone(texts, free_text, [row.letters for row in rows]).tolist()
    kept: dict[str, Resolution] = {}
    others: list[Candidate] = []
    for row, is_alone in zip(rows, alone, strict=True):
        if is_alone and not row.group_keys and not row.past and keys[row.key] == 1:
            kept[row.record_id] = Resolution(group=row.record_id, split=row.split)
        else:
            others.append(row)
    return kept, others


# --- 2 and 3: near-duplicates, bridges --------------------------------------------------------
def _neighbors(cells: Sequence[Cell], policy: MergePolicy) -> Neighbors:
    """By cell: the similar cells with their similarity.

    A cell similar to a row that became a duplicate is compared with the kept one, too: in a dense cluster the search
    compares each text with only a few others, and the kept one need not be among them.
    """
    similar_rows = policy.similar_rows
    neighbors = similar_rows.neighbors([cell.head.text for cell in cells], [cell.head.free_text for cell in cells])
    heads = [cell.head for cell in cells]
    places = {head.record_id: number for number, head in enumerate(heads)}
    for number, cell in enumerate(cells):
        if cell.follows:
            # Of rows with equal words, only the first few are linked with the others.
            leader = places[cell.follows]
            neighbors[number][leader] = neighbors[leader][number] = 1.0
    policy.compare_all((heads[one], heads[other]) for one, others in neighbors.items() for other in others)
    tried: set[tuple[int, int]] = set()
    while True:
        kept = _absorb(cells, neighbors, policy, sorted(neighbors))
        keeper = {cell: number for number, one in kept.items() for cell in one.joined}
        proposed = {
            (number, keeper[other])
            for number in kept
            for other in neighbors.get(number, ())
            if other in keeper and keeper[other] != number and keeper[other] not in neighbors[number]
        }
        policy.compare_all((heads[one], heads[other]) for one, other in proposed - tried)
        new = sorted(pair for pair in proposed - tried if _may_join(cells[max(pair)], cells[min(pair)].head, policy))
        if not new:
            return neighbors
        tried.update(new)
        found = similar_rows.similarities([(cells[one].head.text, cells[other].head.text) for one, other in new])
        for (one, other), similarity in zip(new, found, strict=True):
            if similarity >= similar_rows.threshold:
                neighbors[one][other] = neighbors[other][one] = similarity


_Settled = tuple[dict[int, Kept], Groups]


def _settle(
    cells: Sequence[Cell], neighbors: Neighbors, alike: Neighbors, policy: MergePolicy
) -> tuple[list[_Settled], dict[str, tuple[str, str]]]:
    """Decide which cells are kept, in which groups, and which rows are bridges.

    Duplicates are found among ``neighbors``; groups are formed of what is ``alike``, too.

    A bridge affects only what it is connected to, directly or not; only that is decided again without it. Its copies
    need not be bridges themselves, such as one that was published: their group keys differ.
    """
    cells = list(cells)
    settled: list[_Settled] = []
    bridges: dict[str, tuple[str, str]] = {}
    left_out = PublishedTexts()
    numbers: Sequence[int] = range(len(cells))
    while True:
        kept = _absorb(cells, neighbors, policy, numbers)
        groups, found = place(kept, alike, left_out)
        if not found:
            return [*settled, (kept, groups)], bridges
        around = connected([cell.members for cell in cells], alike, numbers, found)
        apart = {number: one for number, one in kept.items() if number not in around}
        settled.append((apart, place(apart, alike, left_out)[0]))
        for number, splits in found.items():
            bridge = kept[number].head
            bridges[bridge.record_id] = splits
            left_out.add(number, [bridge, *cells[number].overridden])
            copies = [row for row in cells[number].members if row is not bridge]
            if copies:
                cells[number] = replace(cells[number], members=copies)
            else:
                around.remove(number)
        # A cell without its head may have lost its turn.
        numbers = sorted(around, key=lambda number: cells[number].turn)


def _absorb(
    cells: Sequence[Cell], neighbors: Neighbors, policy: MergePolicy, numbers: Iterable[int]
) -> dict[int, Kept]:
    """Go through some cells in the given order; each joins the first kept one it may, or is kept itself."""
    kept: dict[int, Kept] = {}
    turns: dict[int, int] = {}
    for number in numbers:
        cell = cells[number]
        members = cell.members
        for other in sorted((one for one in neighbors.get(number, ()) if one in kept), key=turns.__getitem__):
            if _may_join(cell, kept[other].head, policy):
                similarity = policy.answer_similarity(cell.head, kept[other].head) or neighbors[number][other]
                members = _join(kept[other], cell, similarity, policy.similar_rows)
                kept[other].joined.append(number)
                break
        if members:
            turns[number] = len(turns)
            kept[number] = Kept(head=members[0], exact=members[1:], overridden=list(cell.overridden))
    return kept


def _may_join(cell: Cell, keeper: Candidate, policy: MergePolicy) -> bool:
    """Whether a cell may be a near-duplicate of a similar row.

    A row in conflict is never a duplicate of another: annotators need all answers, but each only once. Nor is a row
    published as is, nor one whose source contradicts an annotator. A row that annotators could not settle is only a
    duplicate of what an annotator has confirmed.
    """
    if cell.head.frozen or cell.head.contradicted or (cell.head.disputed and not keeper.human):
        return False
    disputed = cell.conflicting_answers and cell.head.answer is not None and cell.follows != keeper.record_id
    return not disputed and policy.may_join(cell.head, keeper)


def _join(keeper: Kept, cell: Cell, similarity: float, similar_rows: SimilarRows) -> list[Candidate]:
    """Make the cell's rows near-duplicates of the keeper, each by its own similarity; return those too dissimilar."""
    known = {cell.head.text: similarity}
    others: list[Candidate] = []
    for row in cell.members:
        if row.text not in known:
            known[row.text] = similar_rows.similarities([(row.text, keeper.head.text)])[0]
        if known[row.text] >= similar_rows.threshold:
            keeper.near.append((row, known[row.text]))
        else:
            others.append(row)
    if not others:
        keeper.overridden.extend(cell.overridden)
    return others


# --- the result -------------------------------------------------------------------------------
def _resolutions(
    cells: Sequence[Cell], kept: Mapping[int, Kept], groups: Groups, on_conflict: OnConflict
) -> Iterator[tuple[str, Resolution]]:
    """The resolution of every kept row and of the rows that it represents."""
    overridden_by = {row.record_id: cell.human_labeled.record_id for cell in cells for row in cell.overridden}
    names = _names(kept, groups)
    for number, one in kept.items():
        root, keeper, cell = groups.root(number), one.head.record_id, cells[number]
        group, split = names[root], groups.split(root)
        kept_row = Resolution(group=group, split=split)
        if on_conflict is OnConflict.REVIEW and cell.conflicting_answers and not one.head.frozen:
            kept_row.conflict, kept_row.conflicting_answers = cell.first_conflicting_answers(), cell.conflicting_answers
        yield keeper, kept_row
        if one.alone:
            continue
        for row in one.exact:
            yield row.record_id, Resolution(duplicate_of=keeper, exact=True, similarity=1.0, group=group, split=split)
        for row, similarity in one.near:
            yield row.record_id, Resolution(duplicate_of=keeper, similarity=similarity, group=group, split=split)
        for row in one.overridden:
            yield row.record_id, Resolution(overridden_by=overridden_by[row.record_id], group=group, split=split)


def _corrected(
    resolved: Mapping[str, Resolution], kept: Mapping[int, Kept], neighbors: Neighbors
) -> Iterator[tuple[str, Resolution]]:
    """The kept rows that still have an answer that an annotator replaced in a similar one.

    Until then they were its duplicates; now their answer is probably wrong as well.
    """
    for number, one in kept.items():
        for other in sorted(neighbors.get(number, ())):
            twin = kept[other].head if other in kept else None
            if twin and twin.human and twin.replaced is not None and twin.replaced == one.head.answer:
                head = one.head.record_id
                if not one.head.human:
                    yield head, replace(resolved[head], corrected=twin.record_id)
                break


def _names(kept: Mapping[int, Kept], groups: Groups) -> dict[int, str]:
    """By root, the id of the earliest row of the group."""
    earliest: dict[int, tuple[bool, int, str]] = {}
    for number, one in kept.items():
        root, rows = groups.root(number), [one.head] if one.alone else one.rows()
        first = min((row.past, row.order, row.record_id) for row in rows)
        earliest[root] = min(first, earliest.get(root, first))
    return {root: record_id for root, (_, _, record_id) in earliest.items()}


def _overridden_by_bridges(
    cells: Sequence[Cell], bridges: Mapping[str, tuple[str, str]]
) -> Iterator[tuple[str, Resolution]]:
    """An overridden row stays so if all rows with the annotator's answer are left out: the decision counts."""
    for cell in cells:
        if cell.overridden and all(row.record_id in bridges for row in cell.members):
            for row in cell.overridden:
                yield row.record_id, Resolution(overridden_by=cell.human_labeled.record_id)
