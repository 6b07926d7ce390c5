"""The loss of an answer is that of all its tokens, whatever is not scored."""

import pytest
import torch
from model_families import SMOLLM, model_of
from small_models import questions_and_answers

from pipeline.finetuning.losses import answer_losses
from pipeline.finetuning.row_tokens import Tokens, as_tokens
from schemas.dataset import Turns


def test_only_what_is_judged_is_scored_and_the_loss_is_the_same() -> None:
    loaded = model_of(SMOLLM, initializer_range=0.5)
    rows = [as_tokens(row, loaded, Turns.EVERY) for row in questions_and_answers(4)]
    # The first token is never judged, and of nothing nothing is.
    rows += [Tokens(rows[0].ids, [True] * len(rows[0])), Tokens([], []), Tokens([5, 6], [True, False])]
    scored = []
    loaded.model.lm_head.register_forward_hook(lambda module, given, found: scored.append(found.shape[1]))
    found = answer_losses(loaded, rows)
    assert scored == [sum(row.learned[1:]) for row in rows if any(row.learned[1:])]
    for row, credit in zip(rows, found, strict=True):
        ids, counted = torch.tensor([row.ids], dtype=torch.long), torch.tensor(row.learned[1:], dtype=torch.bool)
        assert credit.possible == counted.sum()
        if credit.possible:
            with torch.inference_mode():
                guesses = loaded.model(input_ids=ids).logits[0, :-1].log_softmax(dim=-1)
            each = -guesses.gather(1, ids[0, 1:, None])[:, 0]
            assert credit.earned == pytest.approx(float(each[counted].sum()), rel=1e-5)
        else:
            assert credit.earned == 0
