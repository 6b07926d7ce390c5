"""A question that its own annotators try to settle again and again stays open for whoever is named and free."""

from pathlib import Path

from desk import desk_at
from fake_studio import FakeStudio
from team import ANA, BEN, CLEO, NAMED, QUESTIONS, answer, go_on, review, seats, whose

from pipeline.review.queue import asked_now
from pipeline.review.seating import MOST_ATTEMPTS, all_seats, attempts_so_far


def test_who_is_named_after_all_attempts_to_settle_a_question_is_asked(studio: FakeStudio, tmp_path: Path) -> None:
    with desk_at(studio, tmp_path, QUESTIONS, review("overlap: 1.0")) as desk:
        desk.curate()
        answer(desk, 1, "first", "delivery", ANA)
        answer(desk, 1, "second", "returns", BEN)
        go_on(desk)
        for attempt in range(1, MOST_ATTEMPTS + 1):
            seat = f"adjudicator {attempt}" if attempt > 1 else "adjudicator"
            answer(desk, 1, seat, "delivery", ANA)
            go_on(desk)
        last = f"adjudicator {MOST_ATTEMPTS + 1}"
        assert last not in seats(desk, 1)
        file = desk.folder / "dataset.yaml"
        file.write_text(file.read_text().replace("overlap: 1.0", f"overlap: 1.0, {NAMED}"))
        go_on(desk)
        assert whose(desk, 1)["adjudicator"] == CLEO and last in seats(desk, 1)
        snapshot = desk.context.store.snapshot()
        origin = next(one for one in asked_now(snapshot, desk.context.dataset) if str(one.seat) == last)
        assert origin.seat in all_seats([], attempts_so_far(snapshot))
        answer(desk, 1, last, "returns", CLEO)
        go_on(desk)
        assert desk.decision(1).targets == {"topic": "returns"}
