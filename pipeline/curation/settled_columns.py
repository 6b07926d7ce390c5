"""The columns of records whose fate is settled as far as it depends on the record and on what it was compared with."""

import polars as pl

from pipeline.state.tables import SCHEMAS, Table

DECIDED = pl.Schema({name: kind for name, kind in SCHEMAS[Table.DECISIONS].items() if name != "run"})
"""The columns of a decision, but for the run; before the budget was looked at, so ``routed`` is what answers say."""
ASKING = pl.Schema(
    {
        "order": pl.Int64(),
        # As the audit draws, from 0 to 1.
        "number": pl.Float64(),
        # For candidates, the chance of an error or the urgency of a review; and how they would be asked about.
        "score": pl.Float64(),
        "wait": pl.Int8(),
        "route": pl.String(),
        # Same label and same reason.
        "sort": pl.String(),
        # Of a row that waits for nothing else: the digests of its personal data, with spaces between them; and the
        # chance of an error for which it would be doubted if it had none.
        "personal": pl.String(),
        "alone": pl.Float64(),
        # The code of the first reason, and whether it says that nothing was found.
        "first": pl.String(),
        "passed": pl.Boolean(),
        # How it was asked about before, and the chance that an earlier run gave it to be audited.
        "past_route": pl.String(),
        "past_stratum": pl.Int8(),
        "past_probability": pl.Float64(),
        # The verdict of its annotators; whether it is a single one's that nothing else speaks for; an answer of its own
        # that was wrong, or that it never had.
        "human": pl.String(),
        "unconfirmed": pl.Boolean(),
        "was_wrong": pl.Boolean(),
        "entered": pl.Boolean(),
        # A gold source vouches for it; its source is published as is; it must be looked at, or is rejected.
        "trusted": pl.Boolean(),
        "as_is": pl.Boolean(),
        "held": pl.Boolean(),
        "rejected": pl.Boolean(),
        # Whether somebody else can still be asked, and whether it was asked about in vain.
        "open_seat": pl.Boolean(),
        "in_vain": pl.Boolean(),
    }
)
"""The columns that say what annotators may be asked."""
SETTLED = pl.Schema(DECIDED | ASKING)
