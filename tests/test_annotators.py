"""A line per annotator: what is counted, what is compared, and which habits are told."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
from desk import Desk, Row, desk_at
from fake_studio import FakeStudio
from support import row
from team import ANA, BEN, CLEO, NAMED, QUESTIONS, answer, review, seats, whose
from team_toys import team
from terminal import Terminal

from pipeline.reporting.annotators import AnnotatorLine, annotator_lines, read_annotators
from pipeline.reporting.field_agreement import (
    FieldAgreement,
    agreement_lines,
    field_agreements,
    guesses,
    whole_agreement,
)
from pipeline.review.opinions import UNUSABLE, Opinion, read_opinions, votes
from pipeline.review.questions import FilledIn
from schemas.annotation import Annotation, Verdict
from schemas.field import FreeText, JsonValue
from schemas.seat import SeatKind
from schemas.task import Input, Target, Task
from schemas.tasks.plain_sentence import PlainSentence

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
TOPICS = ("billing", "delivery", "returns")


class Topic(Task):
    """A choice."""

    question: Input[str]
    topic: Target[Literal["billing", "delivery", "returns"]]


def opinion(
    who: str,
    record: str,
    topic: str | None,
    *,
    verdict: Verdict = Verdict.LABELED,
    minute: int = 0,
    seat: SeatKind = SeatKind.FIRST,
    proposal: str | None = None,
    known: str | None = None,
    seconds: float | None = None,
) -> Opinion:
    targets: dict[str, JsonValue] | None = {"topic": topic} if topic else None
    at = NOON + timedelta(minutes=minute)
    annotation = Annotation(
        server="s", project=1, task_id=1, annotation_id=minute + 1, push_key="p", record_id=record, annotator=who,
        verdict=verdict, targets=targets, created_at=at, updated_at=at, lead_time=seconds,
    )  # fmt: skip
    filled = FilledIn({"topic": proposal}) if proposal else None
    return Opinion(who, seat, annotation, filled, {"topic": known} if known else None, is_drawn=True)


def lines(*opinions: Opinion, named: tuple[str, ...] = ()) -> dict[str, AnnotatorLine]:
    return {line.annotator: line for line in annotator_lines(opinions, Topic, named, {}, NOON)}


# --- counts -----------------------------------------------------------------------------------------
def test_answers_are_counted_and_skips_and_invalid_ones_beside_them() -> None:
    found = lines(
        opinion(ANA, "r1", "billing", seconds=4.0),
        opinion(ANA, "r2", None, verdict=Verdict.UNUSABLE, seconds=8.0),
        opinion(ANA, "r3", None, verdict=Verdict.UNSURE, seconds=30.0),
        opinion(ANA, "r4", None, verdict=Verdict.SKIPPED, seconds=900.0),
        opinion(ANA, "r5", None, verdict=Verdict.INVALID),
        opinion(ANA, "r6", "billing", minute=-24 * 60),
    )[ANA]
    assert (found.answers, found.today, found.seconds) == (4, 3, 8.0)
    assert (found.unusable, found.unsure, found.skips, found.invalid) == (1, 1, 1, 1)


def test_today_is_that_of_who_asks() -> None:
    late = opinion(ANA, "r1", "billing", minute=-13 * 60)
    [line] = annotator_lines([late], Topic, (), {}, NOON)
    assert line.today == 0, "it was 23 o'clock of the day before"
    [line] = annotator_lines([late], Topic, (), {}, NOON.astimezone(datetime.strptime("-0500", "%z").tzinfo))
    assert line.today == 0
    [line] = annotator_lines([opinion(ANA, "r1", "billing", minute=-11 * 60)], Topic, (), {}, NOON)
    assert line.today == 1


def test_who_is_named_has_a_line_before_the_first_answer_and_names_differ_in_case_only() -> None:
    found = lines(opinion("Ana@Example.com", "r1", "billing"), named=(ANA, BEN))
    assert {name: line.answers for name, line in found.items()} == {ANA: 1, BEN: 0}


def test_gold_is_the_share_of_known_answers_with_its_interval() -> None:
    golds = [
        opinion(ANA, f"r{at}", "billing" if at < 9 else "returns", seat=SeatKind.GOLD, known="billing")
        for at in range(10)
    ]
    found = lines(*golds, opinion(BEN, "r1", "billing"))
    assert found[ANA].gold.of == 10 and found[ANA].gold.estimate is not None
    assert found[ANA].gold.estimate.value == pytest.approx(0.9)
    assert (found[ANA].gold.estimate.low, found[ANA].gold.estimate.high) == (
        pytest.approx(0.596, abs=0.001),
        pytest.approx(0.982, abs=0.001),
    )
    assert found[BEN].gold.estimate is None and str(found[BEN].gold) == ""


def test_agreement_is_by_pairs_of_the_latest_answers_without_adjudicators_and_gold() -> None:
    found = lines(
        opinion(ANA, "r1", "returns", minute=0),
        opinion(ANA, "r1", "billing", minute=1),
        opinion(BEN, "r1", "billing", minute=2, seat=SeatKind.SECOND),
        opinion(ANA, "r2", "billing", minute=3),
        opinion(BEN, "r2", None, minute=4, verdict=Verdict.UNUSABLE, seat=SeatKind.SECOND),
        opinion(CLEO, "r2", "billing", minute=5, seat=SeatKind.ADJUDICATOR),
        opinion(CLEO, "r1", "returns", minute=6, seat=SeatKind.GOLD, known="billing"),
    )
    assert {name: (line.agreement.of, line.agreement.estimate and line.agreement.estimate.value)
            for name, line in found.items()} == {ANA: (2, 0.5), BEN: (2, 0.5), CLEO: (0, None)}  # fmt: skip


def test_unchanged_is_the_share_of_what_was_filled_in_that_was_left() -> None:
    found = lines(
        opinion(ANA, "r1", "billing", proposal="billing"),
        opinion(ANA, "r2", "billing", proposal="returns"),
        opinion(ANA, "r3", "billing"),
    )[ANA]
    assert (found.unchanged.of, found.unchanged.estimate and found.unchanged.estimate.value) == (2, 0.5)


# --- habits -----------------------------------------------------------------------------------------
def varied(who: str, count: int, **more: str) -> list[Opinion]:
    return [opinion(who, f"{who}{at}", TOPICS[at % 3], minute=at, **more) for at in range(count)]


def alike(who: str, count: int, **more: str) -> list[Opinion]:
    return [opinion(who, f"{who}{at}", "billing", minute=at, **more) for at in range(count)]


def test_who_answers_everything_alike_unlike_the_others_is_told() -> None:
    found = lines(*alike(ANA, 30), *varied(BEN, 60), *varied(CLEO, 60))
    assert found[ANA].flags == ["answers nearly everything alike: 100.0% of 30, the others 33.3% of 120"]
    assert found[BEN].flags == found[CLEO].flags == []


def test_nobody_is_told_of_if_all_answer_alike_or_too_little_is_known() -> None:
    assert not any(line.flags for line in lines(*alike(ANA, 30), *alike(BEN, 30)).values()), "the rows are alike"
    assert not any(line.flags for line in lines(*alike(ANA, 15), *varied(BEN, 60)).values())
    assert not any(line.flags for line in lines(*alike(ANA, 30), *varied(BEN, 15)).values())
    assert lines() == {}


def test_who_accepts_whatever_is_filled_in_unlike_the_others_is_told() -> None:
    accepting = [opinion(ANA, f"a{at}", TOPICS[at % 3], proposal=TOPICS[at % 3]) for at in range(40)]
    found = lines(*accepting, *varied(BEN, 60, proposal="billing"))
    assert found[ANA].flags == ["accepts nearly every proposal: 100.0% of 40, the others 33.3% of 60"]
    assert found[BEN].flags == []


# --- from the tables --------------------------------------------------------------------------------
KNOWN: list[Row] = [row(101, "Which day will my sofa come?", "delivery")]


@pytest.fixture
def desk(studio: FakeStudio, tmp_path: Path) -> Desk:
    """Ana, Ben and Cleo have answered, each in the own seats; a gold item was answered wrong."""
    with desk_at(studio, tmp_path, [*QUESTIONS, *KNOWN], review(NAMED, "overlap: 1.0", "gold: 0.2")) as desk:
        file = tmp_path / "dataset.yaml"
        file.write_text(file.read_text().replace("license: MIT}", "license: MIT, gold: true}"))
        desk.curate()
        for key in (1, 2):
            for seat, name in whose(desk, key).items():
                answer(desk, key, seat, "billing" if key == 1 or seat == "first" else Verdict.UNUSABLE, name)
        for seat, task_id in seats(desk, 101).items():
            desk.submit(task_id, desk.result("returns"), seat.removeprefix("gold "))
        desk.collect()
        return desk


def test_votes_have_a_row_for_each_field_and_gold_ones_the_known_label(desk: Desk) -> None:
    snapshot = desk.context.store.snapshot().at_last_commit()
    found = votes(read_opinions(snapshot, desk.context.dataset), desk.context.dataset.task).sort("item", "annotator")
    mine = found.filter(item=desk.id(1))
    assert mine["label"].to_list() == ['"billing"'] * 2 and mine["annotator"].n_unique() == 2
    assert sorted(found.filter(item=desk.id(2))["label"]) == [UNUSABLE, '"billing"']
    assert set(found["field"]) == {"topic"}
    gold = found.filter(item=desk.id(101))
    assert set(gold["label"]) == {'"returns"'} and set(gold["known"]) == {'"delivery"'}
    assert found.filter(item=desk.id(1))["known"].to_list() == [None, None]


def test_the_command_shows_a_line_for_each_and_json_has_all(desk: Desk) -> None:
    shown = Terminal(desk.folder).json("annotators")["annotators"]
    assert {line["annotator"] for line in shown} == {ANA, BEN, CLEO}
    assert sum(line["answers"] for line in shown) == 4 + len(seats(desk, 101))
    assert sum(line["waiting"] for line in shown) == 5, "two questions for two each, and an adjudication"
    assert all(line["gold"]["estimate"]["value"] == 0.0 for line in shown if line["gold"]["of"])
    text = Terminal(desk.folder).goldleaf("annotators").stdout
    assert all(name in text for name in (ANA, BEN, CLEO)) and "right on gold" in text


@pytest.mark.parametrize("columns", [60, 80])
def test_no_address_is_broken_in_a_narrow_terminal(desk: Desk, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    names = ("margarethe.lindqvist@example.com", "ben.okonkwo-smith@example.com", CLEO)
    monkeypatch.setattr("pipeline.reporting.annotators.read_annotators", lambda *given: team(*names))
    shown = Terminal(desk.folder, columns=columns).goldleaf("annotators").stdout
    work, shares, pairs = (shown.count(name) for name in names)
    assert min(work, shares, pairs) >= 3, shown
    tables, _, _ = shown.partition("330 answers")
    assert all(len(line) <= columns for line in tables.splitlines()) and "76-99" in tables


def test_before_anybody_has_answered_those_who_are_named_are_there(studio: FakeStudio, tmp_path: Path) -> None:
    with desk_at(studio, tmp_path, QUESTIONS, review()) as desk:
        desk.curate()
        assert read_annotators(desk.context, NOON).annotators == []
        shown = Terminal(desk.folder).goldleaf("annotators").stdout
        assert shown == "nobody has answered yet, and review.annotators names nobody\n"


# --- agreement --------------------------------------------------------------------------------------
class Two(Task):
    """A choice and a text."""

    text: Input[str]
    topic: Target[Literal["a", "b"]]
    why: Target[str]


def vote(who: str, record: str, topic: str, why: str, seat: SeatKind = SeatKind.FIRST) -> Opinion:
    plain = opinion(who, record, "x", seat=seat)
    targets: dict[str, JsonValue] = {"topic": topic, "why": why}
    return replace(plain, annotation=plain.annotation.model_copy(update={"targets": targets}))


def test_agreement_is_told_by_field_and_adjudicators_and_single_answers_have_no_part_in_it() -> None:
    given = [vote(ANA, f"r{at}", "ab"[at % 2], "because of the weather") for at in range(8)]
    given += [vote(BEN, f"r{at}", "ab"[at % 2], "because of that weather") for at in range(8)]
    given += [vote(CLEO, f"r{at}", "b", "no", SeatKind.ADJUDICATOR) for at in range(8)]
    given.append(vote(ANA, "alone", "a", "because"))
    topic, why = field_agreements(votes(given, Two), Two)
    assert (topic.alpha, topic.items, topic.by_similarity) == (1.0, 8, False)
    assert why.alpha is not None and why.alpha < 0, "extracted values are equal or they are not"
    assert str(topic).startswith("topic: Krippendorff's alpha 1.00 (") and str(topic).endswith("on 8 rows")


def test_whole_answers_agree_only_where_all_fields_do() -> None:
    given = [vote(ANA, f"r{at}", "ab"[at % 2], "xy"[at // 2 % 2]) for at in range(8)]
    given += [vote(BEN, f"r{at}", "ab"[at % 2], "xy"[(at + (at == 7)) // 2 % 2]) for at in range(8)]
    topic, why = field_agreements(votes(given, Two), Two)
    whole = whole_agreement(votes(given, Two), Two)
    assert whole is not None and (whole.field, whole.items) == ("all 2 fields at once", 8)
    assert topic.alpha == 1.0 and why.alpha is not None and why.alpha < 1
    # Four answers, each about as frequent: seven of eight pairs are alike.
    assert whole.alpha == pytest.approx(
        1 - (2 / 16) / (1 - sum(n * (n - 1) for n in (4, 4, 5, 3)) / (16 * 15)), abs=0.01
    )
    assert whole_agreement(votes([], PlainSentence), PlainSentence) is None


def test_rewritten_texts_that_are_similar_agree_the_more() -> None:
    def rewritten(who: str, at: int, text: str) -> Opinion:
        plain = opinion(who, f"r{at}", "x")
        return replace(plain, annotation=plain.annotation.model_copy(update={"targets": {"plain": text}}))

    given = [rewritten(ANA, at, f"Number {at} is shut on Sundays.") for at in range(8)]
    alike, apart = (
        [rewritten(BEN, at, text.format(at)) for at in range(8)] for text in ("Number {} is shut on a Sunday.", "{}?")
    )
    [close], [far] = (
        field_agreements(votes([*given, *other], PlainSentence), PlainSentence) for other in (alike, apart)
    )
    assert close.by_similarity and str(close).endswith("on 8 rows, by similarity")
    assert close.alpha is not None and far.alpha is not None and close.alpha > far.alpha


def test_agreement_without_two_answers_to_anything_says_why() -> None:
    topic, why = field_agreements(votes([vote(ANA, "r1", "a", "x")], Two), Two)
    assert topic.alpha is None and why.alpha is None
    assert str(topic) == "topic: no item has answers of two annotators"


def test_who_agrees_by_chance_only_is_told() -> None:
    careful = [vote(who, f"r{at}", "ab"[at % 2], "x") for at in range(40) for who in (ANA, BEN)]
    careless = [vote(CLEO, f"r{at}", "aabb"[at % 4], "x") for at in range(40)]
    found = guesses(votes([*careful, *careless], Two), Two)
    assert list(found) == [CLEO]
    assert found[CLEO] == ["agrees with the others no more often than by chance, about topic: 50% of 40"]
    lines = annotator_lines([*careful, *careless], Two, (), {}, NOON, {}, found)
    assert {line.annotator: line.flags for line in lines} == {ANA: [], BEN: [], CLEO: found[CLEO]}


def test_of_two_who_contradict_each_other_only_gold_tells_who_guesses() -> None:
    sure = [vote(ANA, f"r{at}", "ab"[at % 2], "x") for at in range(40)]
    careless = [vote(BEN, f"r{at}", "aabb"[at % 4], "x") for at in range(40)]

    def flags(*gold: Opinion) -> dict[str, list[str]]:
        return guesses(votes([*sure, *careless, *gold], Two), Two)

    def golds(who: str, right: int) -> list[Opinion]:
        said = [vote(who, f"g{at}", "a" if at < right else "b", "x", SeatKind.GOLD) for at in range(10)]
        return [replace(one, known={"topic": "a", "why": "x"}) for one in said]

    as_if = "about topic (50% of 40 alike) as if one of the two guessed"
    told = {one: [f"contradicts {other} {as_if}: gold items would tell who"] for one, other in ((ANA, BEN), (BEN, ANA))}
    assert flags() == flags(*golds(ANA, 10)) == told
    more = {who: [said.replace("gold items", "more gold items") for said in some] for who, some in told.items()}
    assert flags(*golds(ANA, 8), *golds(BEN, 6)) == more
    worse = f"contradicts {ANA} about topic (50% of 40 alike), and is right on 40% of gold items"
    assert flags(*golds(ANA, 10), *golds(BEN, 4)) == {BEN: [f"{worse}, where {ANA} is on 100%"]}


# --- a free text beside a choice --------------------------------------------------------------------
class Ticket(Task):
    """Summarize the ticket, and name its topic."""

    ticket: Input[str]
    summary: Target[FreeText[str]]
    topic: Target[Literal["billing", "delivery", "returns"]]


def summed_up(who: str, record: str, topic: str, words: str, *, known: str | None = None) -> Opinion:
    seat = SeatKind.GOLD if known else SeatKind.FIRST
    plain = opinion(who, record, topic, seat=seat)
    targets: dict[str, JsonValue] = {"topic": topic, "summary": words}
    right: dict[str, JsonValue] | None = {"topic": known, "summary": "As the expert says it."} if known else None
    return replace(plain, annotation=plain.annotation.model_copy(update={"targets": targets}), known=right)


def test_whoever_says_the_same_in_other_words_is_right_on_gold_and_like_the_others() -> None:
    golds = [
        summed_up(ANA, f"g{at}", "billing" if at else "returns", f"Words {at}.", known="billing") for at in range(20)
    ]
    both = [summed_up(who, f"r{at}", TOPICS[at % 3], f"{who} {at}.") for at in range(20) for who in (ANA, BEN)]
    ana, ben = annotator_lines([*golds, *both], Ticket, (), {}, NOON)
    assert (str(ana.gold), str(ana.reliability)) == ("95% (76-99) of 20", "95% (76-99) of 20")
    assert str(ana.agreement) == str(ben.agreement) == "100% (84-100) of 20"


def test_who_always_says_the_same_in_other_words_answers_everything_alike() -> None:
    given = [summed_up(ANA, f"a{at}", "billing", f"Words {at}.") for at in range(30)]
    given += [summed_up(who, f"{who}{at}", TOPICS[at % 3], f"{at}.") for at in range(60) for who in (BEN, CLEO)]
    found = {line.annotator: line.flags for line in annotator_lines(given, Ticket, (), {}, NOON)}
    assert found[ANA] == ["answers nearly everything alike: 100.0% of 30, the others 33.3% of 120"]


def test_fields_about_which_nobody_contradicts_anybody_share_a_line() -> None:
    common: dict[str, Any] = {"items": 9, "low": None, "high": None, "by_similarity": False}
    split, same, plain = (
        FieldAgreement(field=name, alpha=alpha, **common)
        for name, alpha in (("topic", 0.5), ("tone", 1.0), ("urgent", None))
    )
    rest = "nobody contradicts anybody about 2 other fields: tone, urgent"
    assert agreement_lines([same, split, plain]) == [str(split), rest]
    assert agreement_lines([same, plain]) == [rest.replace("other ", "")]
    assert agreement_lines([split, same]) == [str(split), str(same)] and agreement_lines([]) == []
