"""The rounds of fine-tuning: whether each new version made the tuned model better, and the labels cleaner."""

import math
from collections.abc import Iterator

from pipeline.evaluation.estimates import Estimate, Unit
from pipeline.ladder.judgement import Verdict
from pipeline.reporting.last_finetuning import judged
from pipeline.reporting.report_page import Round
from pipeline.state.snapshot import Snapshot


def rounds_of(snapshot: Snapshot) -> Iterator[Round]:
    """The newest judgement of every version that was fine-tuned on, by version: looking back is no new round."""
    for one in judged(snapshot):
        found = one.summary
        low = -math.inf if found.low is None else found.low
        high = math.inf if found.high is None else found.high
        yield Round(
            started_at=one.began,
            version=found.version,
            train_rows=found.train_rows,
            train_split=found.train_split,
            tuned=Estimate(value=found.tuned, low=low, high=high, unit=Unit(found.unit)),
            tuned_title=found.tuned_title,
            rival=found.rival,
            rival_title=found.rival_title,
            heading=Verdict(found.verdict).heading,
            noise=found.noise,
        )
