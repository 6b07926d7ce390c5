"""How far annotators agree is told by rows that were drawn for two, not by rows that follow from what one said."""

from dataclasses import replace
from pathlib import Path

from desk import Desk, desk_at
from fake_studio import FakeStudio
from team import ANA, BEN, CLEO, answer, go_on, review, whose
from test_annotators import NOON, Two, vote
from test_second_looks import ROWS, audited, right, wrong

from pipeline.reporting.annotators import AnnotatorsTable, annotator_lines, read_annotators
from pipeline.reporting.field_agreement import field_agreements, pair_agreements
from pipeline.review.opinions import read_opinions, votes
from pipeline.review.seating import is_overlapping
from schemas.seat import SeatKind


def table(desk: Desk) -> AnnotatorsTable:
    return read_annotators(desk.context, NOON)


def compared(desk: Desk) -> int:
    """The answers that are compared with another one of the same row."""
    return sum(line.agreement.of for line in table(desk).annotators)


def share_of(desk: Desk, share: float) -> None:
    file = desk.folder / "dataset.yaml"
    file.write_text(file.read_text().replace("overlap: 1.0", f"overlap: {share}"))


def test_second_looks_and_what_adjudicators_decide_about_them_are_no_part_of_agreement(
    studio: FakeStudio, tmp_path: Path
) -> None:
    with audited(studio, tmp_path, ANA, BEN, CLEO) as (desk, number):
        for seat, said in (("first", wrong), ("second", right), ("adjudicator", right)):
            answer(desk, number, seat, said(number), whose(desk, number)[seat])
            go_on(desk)
        found = table(desk)
        assert [line.agreement.of for line in found.annotators] == [0, 0, 0]
        assert (found.fields, found.pairs) == ([], [])
        assert [one.pairs for one in found.confusions] == [1], "what two take for each other is counted, not a share"


def test_a_slip_that_is_edited_once_a_second_was_asked_is_no_part_of_agreement(
    studio: FakeStudio, tmp_path: Path
) -> None:
    with audited(studio, tmp_path, ANA, BEN) as (desk, number):
        slip = answer(desk, number, "first", wrong(number), whose(desk, number)["first"])
        go_on(desk)
        answer(desk, number, "second", right(number), whose(desk, number)["second"])
        desk.edit(slip, right(number))
        go_on(desk)
        assert compared(desk) == 0


def test_rows_that_were_drawn_for_two_tell_agreement_also_once_the_share_is_lower(
    studio: FakeStudio, tmp_path: Path
) -> None:
    with desk_at(studio, tmp_path, ROWS, review("audit: 0.4", "overlap: 1.0", f"annotators: [{ANA}, {BEN}]")) as desk:
        desk.curate()
        number = min(n for n in range(20) if desk.id(n) in desk.asked())
        for seat, name in whose(desk, number).items():
            answer(desk, number, seat, wrong(number) if seat == "first" else right(number), name)
        go_on(desk)
        assert compared(desk) == 2 and table(desk).fields[0].items == 1
        share_of(desk, 0.0)
        assert compared(desk) == 2


def test_rows_that_a_larger_share_adds_tell_agreement_though_one_has_answered_before(
    studio: FakeStudio, tmp_path: Path
) -> None:
    with desk_at(studio, tmp_path, ROWS, review("audit: 0.4", "overlap: 0.0", f"annotators: [{ANA}, {BEN}]")) as desk:
        desk.curate()
        number = min(n for n in range(20) if desk.id(n) in desk.asked())
        answer(desk, number, "first", right(number), whose(desk, number)["first"])
        go_on(desk)
        file = desk.folder / "dataset.yaml"
        file.write_text(file.read_text().replace("overlap: 0.0", "overlap: 1.0"))
        desk.curate()
        answer(desk, number, "second", right(number), whose(desk, number)["second"])
        go_on(desk)
        assert compared(desk) == 2
        opinions = read_opinions(desk.context.store.snapshot(), desk.context.dataset)
        assert all(one.is_drawn for one in opinions) and is_overlapping(desk.id(number), 1.0)


def test_who_is_drawn_tells_alpha_kappa_and_like_others_and_nobody_else_does() -> None:
    drawn = [vote(who, f"r{at}", "ab"[at % 2], "x") for at in range(8) for who in (ANA, BEN)]
    looks = [
        replace(vote(who, f"s{at}", said, "x", seat), is_drawn=False)
        for at in range(8)
        for who, said, seat in ((ANA, "a", SeatKind.FIRST), (BEN, "b", SeatKind.SECOND))
    ]
    given = votes([*drawn, *looks], Two)
    assert field_agreements(given, Two)[0].alpha == 1.0
    assert [(one.items, one.agreed) for one in pair_agreements(given, Two)] == [(8, 8), (8, 8)]
    lines = annotator_lines([*drawn, *looks], Two, (), {}, NOON)
    assert [str(line.agreement) for line in lines] == ["100% (68-100) of 8"] * 2
