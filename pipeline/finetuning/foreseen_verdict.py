"""The verdict that is certain before a training, since there are too few rows for any other one."""

from pipeline.evaluation.estimates import FEWEST_QUESTIONS, FEWEST_ROWS
from pipeline.finetuning.preflight_findings import Finding, Severity
from pipeline.text.wording import counted
from schemas.dataset import Finetune

_ADD_ROWS = "add rows, and curate and release again,"


def foreseen_verdict(rows: int, questions: int, config: Finetune) -> Finding | None:
    """What the verdict will be whatever the training brings; None if it is open, or if there is less than a batch.

    Args:
        rows: that can be trained on.
        questions: that the test split has.
        config: how many of them are drawn.
    """
    taken, asked = min(rows, config.max_rows or rows), min(questions, config.eval_rows or questions)
    if taken < config.batch_size:
        return None
    there, asks = counted(taken, "training row"), counted(asked, "test question")
    if taken < FEWEST_ROWS <= rows:
        what = f"finetune.max_rows draws {there}; {_certain(f'{FEWEST_ROWS} training rows', 'undecided')}"
        return _few("too_few_rows", taken, rows, what, f"raise it to {FEWEST_ROWS} or more, or leave it out")
    if taken < FEWEST_ROWS:
        few = there if asked >= FEWEST_QUESTIONS else f"{there} and {asks}"
        what = f"{few}; {_certain(f'{FEWEST_ROWS} training rows', 'more data first')}"
        needed = f"until there are {FEWEST_ROWS} training rows and {FEWEST_QUESTIONS} test questions"
        then = f"{_ADD_ROWS} {needed}; meanwhile put the best ones into a prompt"
        return _few("too_few_rows", taken, rows, what, then)
    if asked < FEWEST_QUESTIONS:
        what = f"{asks}; {_certain(f'{FEWEST_QUESTIONS} test questions', 'undecided')}"
        is_drawn = questions >= FEWEST_QUESTIONS
        more = f"{_ADD_ROWS} until there are {FEWEST_QUESTIONS} test questions"
        then = "raise finetune.eval_rows, or leave it out" if is_drawn else more
        return _few("too_few_questions", asked, questions, what, then)
    return None


def _certain(fewest: str, verdict: str) -> str:
    return f'with fewer than {fewest} the verdict is "{verdict}", whatever the training brings'


def _few(code: str, rows: int, of: int, what: str, then: str) -> Finding:
    return Finding(code=code, severity=Severity.WARNING, split="", rows=rows, of=of, what=what, next=then)
