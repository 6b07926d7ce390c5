"""The rules about rewritten texts: each finds what its table says, and the docs show that table."""

from pathlib import Path

import pytest
import rewritten
from rewrite_rule_examples import RULES
from scored_rows import score_rewrites

from pipeline.label_errors.rewrite_clues import CLUES
from pipeline.label_errors.rewrite_rules import Rule
from pipeline.label_errors.rewrites import RewriteScore

DOCS = Path(__file__).parents[1] / "docs" / "rules.md"
SET = rewritten.plainer(300)
"""The examples are written like these."""


def judged(original: str, answer: str, off: tuple[Rule, ...] = ()) -> RewriteScore:
    """The last row of a set of sound ones."""
    return score_rewrites(rewritten.rows_of([*SET, (original, answer)]), off)[-1]


def details(score: RewriteScore, rule: Rule) -> list[str]:
    return [finding.detail for finding in score.findings if finding.rule is rule]


# --- the table ------------------------------------------------------------------------------------
def test_every_rule_is_in_the_table() -> None:
    assert list(RULES) == list(Rule)


@pytest.mark.parametrize("rule", Rule)
def test_a_rule_doubts_its_example_in_the_words_of_the_table(rule: Rule) -> None:
    about = RULES[rule]
    assert details(judged(about.original, about.doubted), rule) == [about.detail]


@pytest.mark.parametrize("rule", Rule)
def test_no_rule_doubts_a_sound_answer_to_the_same_original(rule: Rule) -> None:
    score = judged(RULES[rule].original, RULES[rule].fine)
    assert score == RewriteScore(0.0)


@pytest.mark.parametrize("rule", Rule)
def test_a_rule_that_is_off_finds_nothing(rule: Rule) -> None:
    about = RULES[rule]
    assert details(judged(about.original, about.doubted, off=(rule,)), rule) == []


def test_with_all_rules_off_nothing_is_doubted() -> None:
    rows = rewritten.rows_of([*SET, *((about.original, about.doubted) for about in RULES.values())])
    assert set(score_rewrites(rows, tuple(Rule))) == {RewriteScore(0.0)}


@pytest.mark.parametrize("rule", [Rule.COPIED, Rule.CUT, Rule.LENGTH, Rule.NUMBERS, Rule.NAMES, Rule.LINKS])
def test_an_example_shows_one_rule_only(rule: Rule) -> None:
    """So that whoever reads the table sees what the rule adds to the others."""
    about = RULES[rule]
    assert [finding.rule for finding in judged(about.original, about.doubted).findings] == [rule]
    assert judged(about.original, about.doubted, off=(rule,)).findings == ()


def test_every_clue_belongs_to_a_rule_and_says_what_it_looks_for() -> None:
    for clue in CLUES:
        assert clue.rule in RULES
        assert clue.find.__doc__


# --- the docs -------------------------------------------------------------------------------------
def in_docs() -> str:
    """The table as the docs show it."""
    lines = ["| rule | finds | example | annotators read |", "|---|---|---|---|"]
    for rule, about in RULES.items():
        cells = (f"`{rule}`", about.finds, f"{about.original} → **{about.doubted}**", about.detail)
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines)


def test_the_docs_show_the_table_of_rules() -> None:
    section = DOCS.read_text(encoding="utf-8").split("## Rewriting\n")[1].split("\n## ")[0]
    assert in_docs() in section, f"docs/rules.md must show this table:\n{in_docs()}"


def test_the_docs_name_the_rule_of_every_finding_that_can_be_turned_off() -> None:
    assert [line.split("`")[1] for line in in_docs().splitlines()[2:]] == [rule.value for rule in Rule]
