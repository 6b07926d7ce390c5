"""The section `schedules` of a dataset.yaml: right times only, and what is wrong is named with its line."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prefect._vendor.croniter import croniter
from test_dataset_file import GOOD, mistakes, write

from pipeline.config.dataset_file import load_dataset_file, name_in, schedules_in
from pipeline.errors import ConfigError
from schemas.cron import read_cron
from schemas.durations import seconds_of

NIGHTLY = """schedules:
  timezone: Europe/Berlin
  wait: 10m
  curate: 0 2 * * *
  collect: {cron: "*/15 8-18 * * mon-fri", timezone: America/New_York}
"""


def test_a_verb_has_its_own_zone_or_that_of_the_section_and_none_without_times(tmp_path: Path) -> None:
    schedules = load_dataset_file(write(tmp_path, GOOD + NIGHTLY)).config.schedules
    curate, collect = schedules.of("curate"), schedules.of("collect")
    assert curate and (curate.cron, curate.timezone) == ("0 2 * * *", "Europe/Berlin")
    assert collect and (collect.cron, collect.timezone) == ("*/15 8-18 * * mon-fri", "America/New_York")
    assert schedules.of("release") is None
    assert seconds_of(schedules.wait) == 600


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("  curate: 0 2 * *", "'0 2 * *' has 4 fields instead of 5; write minute, hour,"),
        ("  curate: 60 2 * * *", "'60' is no minute; it is from 0 to 59"),
        ("  curate: 0 2 * * mo", "'mo' is no day of the week; it is from 0 to 7, or sun, mon,"),
        ("  curate: 0 2 30 2 *", "'0 2 30 2 *' is never: no such month has 30 days"),
        ("  curate: 0 18-8 * * *", "'18-8' is no range that goes up; write the lower hour first"),
        ("  curate: 0/5 * * * *", "'0/5' is no minute of cron"),
        ("  curate: '*/0 * * * *'", "'*/0' is no minute of cron"),
        ("  curate: */5 * * * *", "a value that begins with * or & needs quotes"),
        (
            "  curate: {cron: 0 2 * * *, timezone: Europe/Berln}",
            "'Europe/Berln' is not a time zone; use a name such as",
        ),
        ("  timezone: CEST+1", "'CEST+1' is not a time zone"),
        ("  wait: false", "valid string"),
        ("  wait: 30", "30 has no unit; write a number and its unit, such as 45s, 30m or 2h"),
        ("  wait: 30 min", "'30 min' is not a duration; write a number and its unit"),
        (
            "  currate: 0 2 * * *",
            "'schedules.currate' is not a known key; did you mean curate? Else use one of collect, compact",
        ),
        ("  curate: [0 2 * * *]", "'schedules.curate' is a section with the keys cron, max_run, timezone"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(line: str, says: str, tmp_path: Path) -> None:
    [told] = mistakes(tmp_path, f"{GOOD}schedules:\n  release: 0 4 * * 0\n{line}\n")
    assert told.startswith(f"dataset.yaml:{len(GOOD.splitlines()) + 3}: "), told
    assert says in told


def test_times_change_no_decision_and_are_not_published(tmp_path: Path) -> None:
    plain = load_dataset_file(write(tmp_path))
    timed = load_dataset_file(write(tmp_path, GOOD + NIGHTLY))
    assert plain.curation_digest == timed.curation_digest
    assert plain.config.public() == timed.config.public()


def test_name_and_times_are_read_though_the_rest_of_the_file_is_wrong(tmp_path: Path) -> None:
    file = write(tmp_path / "folder", GOOD.replace("task.py:Toy", "nowhere.py:Toy") + NIGHTLY)
    assert name_in(file) == name_in(file.parent) == "toy"
    assert schedules_in(file).wait == "10m"
    file.write_text("name: [", encoding="utf-8")
    assert name_in(file) == "folder"
    with pytest.raises(ConfigError, match=r"dataset\.yaml:1: "):
        schedules_in(file)


def _field(least: int, most: int) -> st.SearchStrategy[str]:
    number = st.integers(least, most)
    pairs = st.tuples(number, number).filter(lambda pair: pair[0] != pair[1])
    spans = pairs.map(lambda pair: f"{min(pair)}-{max(pair)}")
    steps = st.tuples(st.one_of(st.just("*"), spans), st.integers(1, 9)).map(lambda pair: f"{pair[0]}/{pair[1]}")
    one = st.one_of(number.map(str), spans, steps)
    return st.one_of(st.just("*"), st.lists(one, min_size=1, max_size=3).map(",".join))


CRONS = st.tuples(_field(0, 59), _field(0, 23), _field(1, 28), _field(1, 12), _field(0, 6)).map(" ".join)
MOMENTS = st.datetimes(datetime(2024, 1, 1), datetime(2027, 1, 1)).map(lambda moment: moment.replace(tzinfo=UTC))


@settings(max_examples=40)
@given(CRONS, MOMENTS)
def test_prefect_means_the_same_times(text: str, moment: datetime) -> None:
    assert croniter.is_valid(text)
    last = read_cron(text).last(moment, "UTC")
    just_after = moment.replace(second=0, microsecond=0)
    assert last == just_after or last == croniter(text, just_after).get_prev(datetime)
    assert croniter.match(text, last)
    assert read_cron(text).next(moment, "UTC") == croniter(text, moment).get_next(datetime)


def test_a_time_that_the_clocks_leave_out_is_not_waited_for() -> None:
    noon = datetime(2026, 3, 29, 12, tzinfo=UTC)
    # At 2 the clocks of Berlin went to 3.
    assert read_cron("30 2 * * *").last(noon, "Europe/Berlin") == datetime(2026, 3, 28, 1, 30, tzinfo=UTC)
    assert read_cron("30 3 * * *").last(noon, "Europe/Berlin") == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    before = datetime(2026, 3, 28, 12, tzinfo=UTC)
    assert read_cron("30 2 * * *").next(before, "Europe/Berlin") == datetime(2026, 3, 30, 0, 30, tzinfo=UTC)
