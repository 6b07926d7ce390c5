"""`goldleaf check` says when each scheduled verb runs next, and which of them can only fail."""

import re
from pathlib import Path

from cli_shop import ROWS
from support import write_dataset
from terminal import Terminal

SCHEDULED = """\
schedules:
  timezone: Europe/Berlin
  curate: "0 2 * * *"
  collect: {cron: "30 * * * *", timezone: Asia/Tokyo}
"""


def test_the_next_times_are_told_in_their_zones(tmp_path: Path) -> None:
    write_dataset(tmp_path, ROWS, SCHEDULED)
    [said] = [one for one in Terminal(tmp_path).json("check") if one["what"] == "schedules"]
    assert said["ok"]
    assert re.search(
        r"next: curate at \d{4}-\d\d-\d\d 02:00:00 CES?T, collect at \d{4}-\d\d-\d\d \d\d:30:00 JST", said["detail"]
    )


def test_a_collect_without_a_server_is_told(tmp_path: Path) -> None:
    write_dataset(tmp_path, ROWS, SCHEDULED)
    [said] = [one for one in Terminal(tmp_path).json("check") if one["what"] == "schedules.collect"]
    assert said["warning"]
    assert "LABEL_STUDIO_URL" in said["detail"]


def test_nothing_is_said_where_nothing_is_scheduled(tmp_path: Path) -> None:
    write_dataset(tmp_path, ROWS)
    assert not [one for one in Terminal(tmp_path).json("check") if one["what"].startswith("schedules")]
