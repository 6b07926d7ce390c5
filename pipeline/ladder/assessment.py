"""The ladder and the verdict as they are stored beside an adapter: ``verdict.json``, and every answer."""

import io
from collections.abc import Sequence, Set
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ValidationError

from pipeline.errors import TrainingError
from pipeline.evaluation.estimates import Estimate
from pipeline.finetuning.adapters import adapters_in, read_record
from pipeline.finetuning.evaluate import EvalQuestion
from pipeline.finetuning.training_rows import LeftOut
from pipeline.ladder.evidence import Evidence
from pipeline.ladder.failed_training import FailedTraining
from pipeline.ladder.forgetting import Forgetting
from pipeline.ladder.judgement import Judgement
from pipeline.ladder.learning_curve import Curve, adapter_curve
from pipeline.ladder.results import Ladder
from pipeline.ladder.retrained_scores import Ablation, SeedScore, seeds_in_words
from pipeline.ladder.rows_in_review import RowsInReview
from pipeline.text.wording import counted
from schemas.arms_section import ArmName, Family, Limits

VERDICT = "verdict.json"
PREDICTIONS = "predictions.parquet"
PAGE = "verdict.html"
"""The same for readers."""
_MOSTLY = 0.5
"""The share of answers in the wrong format from which on a score is about the format."""


class Assessment(BaseModel, frozen=True):
    """What is known of an adapter and of what else could have been done."""

    key: str
    """Equal keys, equal arms and questions."""
    run: str
    version: str
    """The published version as ``name@version``."""
    digest: str
    base_model: str
    judgement: Judgement
    ladder: Ladder
    limits: Limits
    currency: str = ""
    """Of all costs; empty if nothing has a price."""
    train_rows: int
    test_rows: int
    """Questions of the test split."""
    test_left_out: dict[LeftOut, int] = {}
    """How many of them were not asked, by reason."""
    leaked: int = 0
    """Test questions that are among the training rows, too."""
    held_back: int = 0
    """Test questions that could be asked, and are not for ``finetune.eval_rows``."""
    in_review: RowsInReview | None = None
    """The rows that might be test questions, too, had annotators answered them; None if there are none."""
    undrawn: int = 0
    """Rows of the train split that were not trained on for ``finetune.max_rows``."""
    noise: Estimate | None = None
    """The share of test rows whose answer is wrong, as audited."""
    audited: int = 0
    """The rows that this rests on."""
    unaudited: int = 0
    """Test rows of which an audit says nothing, such as those of frozen sources."""
    groups: int | None = None
    """That the questions which the adapter was asked belong to; None if that was not written down."""
    curves: tuple[Curve, ...] = ()
    """How scores grow with the training rows, and what more of them would bring."""
    forgetting: Forgetting | None = None
    seeds: tuple[SeedScore, ...] = ()
    ablation: Ablation | None = None
    failed: FailedTraining | None = None
    """Why the adapter says nothing of fine-tuning; None if its losses do not say so."""

    @property
    def evidence(self) -> Evidence:
        """What the verdict rests on."""
        return Evidence(
            ladder=self.ladder,
            limits=self.limits,
            train_rows=self.train_rows,
            test_rows=self.test_rows,
            leaked=self.leaked,
            noise=self.noise,
            audited=self.audited,
            groups=self.groups,
            curve=adapter_curve(self.curves),
            seeds=self.seeds,
            held_back=self.held_back,
            in_review=self.in_review,
            undrawn=self.undrawn,
            failed=self.failed,
        )

    @property
    def not_judged(self) -> str:
        """Which test rows count nowhere, in words; empty if all count."""
        unjudged = self.ladder.adapter.evaluation.unjudged
        groups = [
            *((count, reason.value) for reason, count in self.test_left_out.items()),
            (unjudged, "without a token to judge: none is of a turn that counts, or within max_length"),
        ]
        return ", ".join(f"{count} {reason}" for count, reason in groups if count)

    @property
    def busy(self) -> str:
        """Which times, and so costs, are of a machine with other work, in a sentence; empty if none is known to be."""
        loads = {arm.title: arm.load for arm in self.ladder.arms if arm.load is not None}
        busy = {title: load for title, load in loads.items() if load.is_busy}
        if not busy:
            return ""
        most = max(busy.values(), key=lambda load: load.average)
        figures = "times and costs" if self.currency else "times"
        # What an endpoint costs is by its tokens, however busy this machine is.
        is_priced_elsewhere = any(arm.load is None and arm.cost is not None for arm in self.ladder.arms)
        every = f"All {figures} of arms that run on this machine" if is_priced_elsewhere else f"All {figures}"
        whose = every if len(busy) == len(loads) else f"The {figures} of {', '.join(busy)}"
        return (
            f"{whose} were measured while the machine was busy (up to {most}), and are too high: "
            "`goldleaf finetune --again` on an idle machine trains and measures anew."
        )

    @property
    def beside(self) -> list[str]:
        """What else is known, in sentences."""
        found = (
            *self.cautions,
            self.cut,
            *self.unreadable,
            self.not_audited,
            seeds_in_words(self.seeds, self.undrawn),
            self.ablation,
            self.forgetting,
            *self.curves,
        )
        return [str(one) for one in found if one]

    @property
    def cautions(self) -> list[str]:
        """What whoever compares the arms' figures has to know, in sentences."""
        is_told = self.failed is None or self.failed.why in self.judgement.reasons
        failed = "" if self.failed is None or is_told else f"{self.failed.why} {self.failed.then}"
        return [one for one in (failed, self.easier_rest, self.second_calls) if one]

    @property
    def second_calls(self) -> str:
        """Whose costs have calls in them that were repeated; empty if nobody's are known to."""
        paid = [arm for arm in self.ladder.arms if arm.cost is not None and arm.name not in list(ArmName)]
        titles = [arm.title for arm in paid if arm.evaluation.unreadable]
        if not titles:
            return ""
        return (
            f"An endpoint is asked once more after an answer in the wrong format, and the cost of {', '.join(titles)} "
            "has both calls in it."
        )

    @property
    def easier_rest(self) -> str:
        """Which rows are no test questions since they wait in review, and what that may mean; empty if none do."""
        waiting = self.in_review
        return "" if waiting is None else waiting.said(self.version, self.test_rows, self.evidence.unit)

    @property
    def not_audited(self) -> str:
        """Of how many test rows nobody knows whether they are right; empty if the audit stands for all."""
        if not self.unaudited:
            return ""
        return (
            f"No audit says how many of {counted(self.unaudited, 'test row')} are wrong: none is drawn from rows "
            "that are published as they are (`frozen`), or that have left the dataset."
        )

    @property
    def cut(self) -> str:
        """Which models had not ended answers at their longest length; empty if none."""
        found = [
            f"{one.evaluation.cut:,} of {counted(one.evaluation.questions, 'answer')} of {one.title}"
            for one in self.ladder.arms
            if one.evaluation.cut
        ]
        if not found:
            return ""
        return (
            f"Cut at the most tokens that an answer may have, and judged as they stand: {', '.join(found)}. With a "
            "higher finetune.max_new_tokens, models are asked again, and nothing is trained anew."
        )

    @property
    def unreadable(self) -> list[str]:
        """Prompted models whose scores are about the format of their answers rather than about what they know."""
        found = []
        for arm in self.ladder.arms:
            wrong, asked = arm.evaluation.unreadable, arm.evaluation.questions
            if arm.family is not Family.PROMPT or wrong < _MOSTLY * asked:
                continue
            is_here = arm.name in list(ArmName)
            how = "set finetune.form to held" if is_here else _how_to_correct(arm.name)
            found.append(
                f"{wrong:,} of {counted(asked, 'answer')} of {arm.title} are in the wrong format, so that its score "
                f"says little of what it knows: read them in {PREDICTIONS}, and {how}."
            )
        return found

    def as_json(self) -> bytes:
        """The file; single answers are in ``predictions.parquet`` instead."""
        outcomes: Any = {
            "ladder": {"arms": {"__all__": {"evaluation": {"outcomes"}}}},
            "ablation": {"raw": {"outcomes"}, "curated": {"outcomes"}},
        }
        return (self.model_dump_json(indent=2, exclude=outcomes) + "\n").encode()


def _how_to_correct(endpoint: str) -> str:
    return (
        f"correct model, options or max_tokens of arms.{endpoint}, or repair its server and ask again with "
        "goldleaf finetune --retry-invalid"
    )


def read_assessment(folder: Path) -> Assessment:
    """Read what is stored beside an adapter.

    Raises:
        TrainingError: there is nothing, as beside adapters of an older Goldleaf, or it is damaged.
    """
    try:
        return Assessment.model_validate_json((folder / VERDICT).read_bytes())
    except (OSError, ValidationError) as error:
        raise TrainingError(f"{folder} has no verdict: {VERDICT} cannot be read; fine-tune again") from error


def find_assessed(models: Path, key: str | None = None, lacking: Set[tuple[str, str]] = frozenset()) -> Path | None:
    """The newest adapter with a verdict; unfinished and unreadable ones are skipped.

    Args:
        models: the folder of all adapters.
        key: of the comparison; None finds any.
        lacking: the arms of the comparison that are to be asked again, by name and reason; by default there are none.
    """
    found = []
    for folder in adapters_in(models):
        with suppress(TrainingError):
            known = read_assessment(folder)
            if key is None or (known.key == key and known.ladder.lacking == lacking):
                found.append((read_record(folder).created_at, folder))
    return max(found)[1] if found else None


def predictions(questions: Sequence[EvalQuestion], ladder: Ladder) -> bytes:
    """Every answer: ``id``, ``gold``, and a column for each arm, null where it was not asked."""
    answers = {arm.name: {one.id: one.answer for one in arm.evaluation.outcomes} for arm in ladder.arms}
    golds = {one.id: list(one.golds) for arm in ladder.arms for one in arm.evaluation.outcomes}
    ids = [question.id for question in questions if question.id in golds]
    columns = {
        "id": pa.array(ids, pa.string()),
        "gold": pa.array([golds[one] for one in ids], pa.list_(pa.string())),
        **{name: pa.array([given.get(one) for one in ids], pa.string()) for name, given in answers.items()},
    }
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()
