"""kill -9 at random moments of a chain of small runs: the decisions, questions and versions of an undisturbed one."""

from pathlib import Path

from kill_chains import killed_chain

KILLS = 20


def test_whenever_commands_of_a_chain_are_killed_it_ends_like_an_undisturbed_one(tmp_path: Path) -> None:
    assert killed_chain(tmp_path, KILLS, "kills") >= KILLS / 2, "most were still at work"
