"""The verdict that too few rows leave is said before a training, and is the one that is given after it."""

import pytest
from assessed import share_right, verdict_on

from pipeline.finetuning.foreseen_verdict import foreseen_verdict
from pipeline.finetuning.preflight_findings import Severity
from schemas.dataset import Finetune


def foreseen(rows: int, questions: int, **config: object) -> str:
    found = foreseen_verdict(rows, questions, Finetune(batch_size=2).model_copy(update=config))
    assert found is None or found.severity is Severity.WARNING
    return f"{found} ({found.next})" if found else ""


def test_the_verdict_that_too_few_rows_leave_is_said_before_the_training() -> None:
    assert foreseen(100, 30) == ""
    assert foreseen(12, 4) == (
        "too_few_rows: 12 training rows and 4 test questions; with fewer than 100 training rows the verdict is "
        '"more data first", whatever the training brings (add rows, and curate and release again, until there are 100 '
        "training rows and 30 test questions; meanwhile put the best ones into a prompt)"
    )
    assert foreseen(99, 30).startswith("too_few_rows: 99 training rows; with fewer than 100 ")
    assert foreseen(120, 29) == (
        'too_few_questions: 29 test questions; with fewer than 30 test questions the verdict is "undecided", whatever '
        "the training brings (add rows, and curate and release again, until there are 30 test questions)"
    )
    few = foreseen(120, 300, eval_rows=20)
    assert few.startswith("too_few_questions: 20 test questions; ") and "(raise finetune.eval_rows, or" in few
    drawn = foreseen(120, 30, max_rows=50)
    assert drawn.startswith("too_few_rows: finetune.max_rows draws 50 training rows; ")
    assert 'the verdict is "undecided", ' in drawn and drawn.endswith("(raise it to 100 or more, or leave it out)")
    assert foreseen(1, 4) == "", "it does not begin"


@pytest.mark.parametrize(
    ("rows", "questions", "drawn"),
    [(12, 4, {}), (99, 300, {}), (120, 29, {}), (120, 300, {"max_rows": 50}), (100, 30, {})],
)
def test_the_verdict_is_the_one_that_was_foreseen(rows: int, questions: int, drawn: dict[str, int]) -> None:
    arms = (share_right("linear", questions // 2, questions), share_right("adapter", questions - 1, questions))
    taken = min(rows, drawn.get("max_rows", rows))
    given = verdict_on(*arms, train_rows=taken, undrawn=rows - taken)
    assert (given.rule in ("too_few_rows", "too_few_rows_drawn", "too_few_questions")) == (rows != 100)
    assert (f'the verdict is "{given.verdict.heading.lower()}"' in foreseen(rows, questions, **drawn)) == (rows != 100)
