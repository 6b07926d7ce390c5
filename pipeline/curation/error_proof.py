"""Asks about accepted rows, batch by batch, until their error is proven to be below ``review.error_rate``."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from pipeline.curation.audit import AuditFrame, Drawn
from pipeline.estimation.audit_draw import Bools, Chances, Floats, draw
from pipeline.estimation.error_target import Rows, answers_needed, bound_at, next_questions
from schemas.annotation import Verdict
from schemas.run_summary import Proof

FEWEST = 20
"""Questions of a batch, if there are as many rows: rows are drawn by chance, and of fewer there might be none."""

_LEAST = 0.01
"""Of the target, at least this part is left for what is not known."""

_FEW = 0.1
"""A look is tried before all drawn rows are settled if at most this share of them is open."""
_GROWN = 1.1
"""By how much the drawn rows must have grown for another try: each at other rows than the one before is a look."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What annotators said about the records of an audit frame, in its order."""

    answered: Bools
    wrong: Bools
    """Corrected, unusable, or not settled yet."""
    mended: Bools
    """Of these, corrected or unusable: the error is gone."""
    in_vain: Bools
    """Nobody answers, though it was asked."""
    total: int
    """The accepted rows that the error rate is of."""


@dataclass(frozen=True, slots=True)
class Suspects:
    """Labels that are likely enough to be wrong: all of them are asked about, drawn or not."""

    asked: int = 0
    """Questions that are open."""
    waiting: int = 0
    """Of an earlier run's questions, those that an answer, a second look or an adjudicator is still missing for."""
    again: int = 0
    """Rows of the batch, drawn ones included, that have an answer and wait for a second look or an adjudicator."""
    unasked: int = 0
    """They come in a later batch."""
    uncounted: int = 0
    """Of these, accepted ones that the sample says nothing about."""


def answers_about(frame: pl.DataFrame, total: int) -> Answers:
    """What annotators said about the rows of a frame, of which ``awaits`` says whether somebody else is asked, too."""
    is_known = pl.col("human").is_not_null() & ~pl.col("awaits")
    is_mended = (pl.col("human") == Verdict.UNUSABLE.value) | pl.col("was_wrong")
    # A confirmed answer is right; all others were wrong, or nobody knows yet.
    is_wrong = (pl.col("human") != Verdict.LABELED.value) | (pl.col("human").is_not_null() & pl.col("was_wrong"))
    found = frame.select(
        answered=is_known,
        wrong=is_wrong.fill_null(value=False),
        mended=(is_known & is_mended).fill_null(value=False),
        in_vain=pl.col("in_vain"),
    )
    return Answers(**{name: found[name].to_numpy() for name in found.columns}, total=total)


def ask_until_proven(
    frame: AuditFrame, answers: Answers, suspects: Suspects, target: float, room: int, past: Proof | None
) -> tuple[Drawn, Proof]:
    """Draw the next batch once all of the last one is answered, unless the error is proven to be below the target.

    Every look at the answers may be mistaken, so it is only taken when a batch is complete, and counted. So is one in
    which nothing is open but what was asked in vain; such rows stay as they are and count as wrong. What a look found
    holds for the answers that it was about: once one of them changes, it takes another.

    Few rows may be open for days. If the error is below the target whatever they turn out to be, so it will be when
    they are settled: the look is taken already, and is not repeated then. If it is not, no look was taken.

    The sample speaks for all rows that ever had a chance, however likely they seem wrong by now. Errors that were found
    among them without being drawn are errors less: whatever the scores have learned since, that is exact.

    Args:
        frame: the accepted rows, and those that were drawn or had a chance before.
        answers: about them.
        suspects: which are asked about besides.
        target: the highest acceptable share of wrong rows.
        room: the most rows to draw at once.
        past: the state after the last run.
    """
    state = _state(frame, answers, room)
    last = past or Proof(target=target, looks=0, answers=0)
    # Accepted without a look, and nobody knows: as if they were wrong, until somebody is asked.
    unseen = suspects.uncounted / state.total
    now = {"target": target, "unseen": unseen, "open": len(state.open) + suspects.asked}
    now |= {"again": suspects.again, "later": suspects.unasked}
    is_same = last.looks > 0 and state.digest(last.early) == last.digest and state.found >= last.found
    is_below = is_same and last.bound is not None and last.bound + unseen < target
    stands = is_below and (last.bound or 0.0) * _shrunk(last, state.total) + unseen < target
    if not stands and (is_below or last.target != target):
        # The same answers are compared with another target, or speak for fewer rows.
        last, is_same = last.model_copy(update={"digest": ""}), False
    waits = last.model_copy(update=now | {"proven": stands and state.open <= set(last.early)})
    # If all were suspects, no random sample is left to draw.
    is_unknown = not (state.given or state.unheard) and not (state.known.all() and answers.total)
    if is_same or is_unknown:
        return state.draw(state.chances), waits
    # One that proved nothing, and that more rows were drawn after, was a look.
    look = last.looks + 1 + (last.tried not in (0, state.drawn))
    # While so many likely errors are to be asked about, a look would hardly succeed.
    if state.open or suspects.waiting or suspects.unasked >= target * state.total:
        if len(state.open) <= _FEW * state.drawn and not last.tried < state.drawn < _GROWN * last.tried:
            tried = waits.model_copy(update={"looks": look - 1, "tried": state.drawn})
            waits = _early_look(state, target - unseen, look, now) or tried
        return state.draw(state.chances), waits
    chances, proof = _look(state, target - unseen, room, look, now)
    return state.draw(chances), proof


def _shrunk(last: Proof, total: int) -> float:
    """How much larger the share of the same errors is, since there are fewer rows than at the last look."""
    return max(1.0, last.total / total)


def _look(state: "_State", target: float, room: int, look: int, now: dict[str, float]) -> tuple[Chances, Proof]:
    """Compare what is known with the target; returns the chances that draw the next batch.

    Args:
        state: of a complete batch.
        target: without what the sample does not speak for.
        room: the most rows to draw at once.
        look: its number.
        now: what a proof says of the present.
    """
    goal = max(target - state.remains, now["target"] * _LEAST)
    plan = next_questions(state.rows, goal, room, look)
    after, bound = replace(state, chances=plan.chances), max(0.0, plan.bound + state.remains)
    # What this look told says how many more answers are to come after the batch that is drawn now.
    least, most = (0, 0) if plan.proven else answers_needed(state.rows, goal, room, look)
    now = now | {"open": now["open"] - len(state.open) + len(after.open)}
    proof = Proof(
        looks=look,
        # Rows that were known before they were drawn are answers, too.
        answers=after.given,
        unheard=state.unheard,
        found=state.found,
        digest=after.digest(),
        total=state.total,
        bound=bound,
        proven=plan.proven and bound < target,
        least=max(0, least - len(after.open)),
        most=max(0, most - len(after.open)),
        **now,
    )
    return plan.chances, proof


def _early_look(state: "_State", target: float, look: int, now: dict[str, float]) -> Proof | None:
    """The look of a batch in which few rows are open; None if it depends on them.

    Those that turn out wrong count as still there, as if nobody corrected them: that adds more than the bound of the
    sample alone may fall by an error more, which makes other strata likely to have the errors. Where chances differ
    much, a few wrong rows may be worse than all of them, so a single one of each stratum is tried, too, and all of it.
    """
    strata = [state.waits & (state.chances.stratum == name) for name in np.unique(state.chances.stratum[state.waits])]
    single = [np.arange(len(stratum)) == stratum.argmax() for stratum in strata]
    others = [state.waits & ~stratum for stratum in strata]
    ends = [state.settled(lost) for lost in (state.waits, state.waits & False, *single, *strata, *others)]
    bound = max(0.0, *(bound_at(end.rows, look) + end.remains for end in ends))
    if bound >= target:
        return None
    return Proof(
        looks=look,
        answers=state.given,
        unheard=state.unheard,
        early=sorted(state.open),
        found=state.found,
        digest=state.digest(state.open),
        total=state.total,
        bound=bound,
        proven=True,
        **now,
    )


def _state(frame: AuditFrame, answers: Answers, room: int) -> "_State":
    """Who is drawn now, new rows included, and what is known."""
    earlier, count = frame.earlier, len(frame.spots)
    old = earlier.probability > 0
    # New rows are drawn from at the average chance of the others. At a lower one, which would keep a large delivery
    # within a batch, the answers about old rows would say too much of the new ones in their stratum.
    size = float(earlier.probability[old].mean()) * count if old.any() else float(min(room, count))
    return _State(
        names=frame.record_ids,
        chances=draw(frame.spots, frame.scores, size, earlier),
        spots=frame.spots,
        known=answers.answered,
        wrong=answers.wrong,
        mended=answers.mended,
        in_vain=answers.in_vain,
        total=max(1, answers.total),
        scores=frame.scores,
    )


@dataclass(frozen=True)
class _State:
    """Who is drawn, and who has answered."""

    names: pl.Series
    chances: Chances
    spots: Floats
    known: Bools
    wrong: Bools
    mended: Bools
    in_vain: Bools
    total: int
    scores: Floats

    def draw(self, chances: Chances) -> Drawn:
        """Whom chances draw."""
        return Drawn(chances, chances.drawn(self.spots))

    @property
    def is_drawn(self) -> Bools:
        """The random sample."""
        return self.chances.drawn(self.spots)

    @property
    def sampled(self) -> Bools:
        """Its answers."""
        return np.asarray(self.is_drawn & self.known)

    @property
    def lost(self) -> Bools:
        """What was drawn and asked in vain."""
        return np.asarray(self.is_drawn & ~self.known & self.in_vain)

    @property
    def waits(self) -> Bools:
        """What was drawn and may still be answered."""
        return np.asarray(self.is_drawn & ~self.known & ~self.in_vain)

    @property
    def open(self) -> set[str]:
        """The records that were drawn and may still be answered."""
        return set(self.names.filter(pl.Series(self.waits)))

    @property
    def drawn(self) -> int:
        """The number of rows that were drawn."""
        return int(self.is_drawn.sum())

    @property
    def given(self) -> int:
        """The number of answers."""
        return int(self.sampled.sum())

    @property
    def unheard(self) -> int:
        """The number of questions that were asked in vain."""
        return int(self.lost.sum())

    @property
    def found(self) -> int:
        """The number of errors that were found without being drawn."""
        return int((self.mended & self.known & ~self.sampled).sum())

    @property
    def remains(self) -> float:
        """What the sample does not tell: what was asked in vain is as it was, what was found besides is gone."""
        return (self.unheard - self.found) / self.total

    @property
    def rows(self) -> Rows:
        """The sample."""
        return Rows(
            self.chances,
            self.spots,
            self.sampled | self.lost,
            (self.wrong & self.sampled) | self.lost,
            self.total,
            self.scores,
        )

    def settled(self, lost: Bools) -> "_State":
        """The same once some of what is open was asked in vain, and the others are right."""
        right = self.waits & ~lost
        return replace(self, in_vain=self.in_vain | lost, known=self.known | right, wrong=self.wrong & ~right)

    def digest(self, without: Collection[str] = ()) -> str:
        """What was said about the sample, some rows left out; the same whatever the order of the rows."""
        about = self.sampled | self.lost
        sample = zip(self.names.filter(pl.Series(about)), self.known[about], self.wrong[about], strict=True)
        said = [
            f"{name} {('wrong' if wrong else 'right') if known else 'lost'}"
            for name, known, wrong in sample
            if name not in without
        ]
        return hashlib.blake2b("\n".join(sorted(said)).encode(), digest_size=8).hexdigest()
