"""Which texts the last curate has compared with each other: only those are not compared again.

The index does not tell: a text that was away when another one came is in it, and was not compared with this.
"""

import numpy as np
import polars as pl

from pipeline.curation.evaluation_sets import evaluation_rows
from pipeline.curation.relations import TEXT_COLUMNS
from pipeline.curation.standing import Standing
from pipeline.similarity.signatures import INPUTS, NO_IDENTITIES, Identities, Scheme, sign
from pipeline.similarity.text_columns import Texts
from pipeline.state.snapshot import Snapshot


def compared_texts(standing: Standing | None, snapshot: Snapshot, scheme: Scheme) -> Identities:
    """Those of the rows that stand, of those that only versions have, and of the evaluation rows.

    Args:
        standing: what the last curate has left; None if that is not known.
        snapshot: has the evaluation rows.
        scheme: of the texts; the curate must have compared them by it.
    """
    if standing is None or not scheme.is_of_run(standing.header.scheme):
        return NO_IDENTITIES
    columns = TEXT_COLUMNS[scheme.view]
    rows = pl.concat([standing.columns(*columns), standing.past.select(columns)])
    found: Identities = rows.filter(pl.col(columns[0]) != 0).to_numpy()
    # Without rows, there is nothing that evaluation rows were compared with.
    if scheme.view != INPUTS or not len(found):
        return found
    evaluation = evaluation_rows(snapshot, standing.header.evaluation)["text"].to_list()
    return np.concatenate([found, sign(Texts.of(evaluation), scheme).identities])
