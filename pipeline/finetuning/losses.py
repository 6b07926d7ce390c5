"""How likely a model finds the gold answers: their loss, token by token, without letting it write."""

from collections.abc import Callable, Sequence

from pipeline.evaluation.scores import Credit
from pipeline.finetuning.base_model import LoadedModel, quiet
from pipeline.finetuning.row_tokens import Tokens


def answer_losses(
    loaded: LoadedModel,
    rows: Sequence[Tokens],
    on_progress: Callable[[int], None] = lambda done: None,
) -> list[Credit]:
    """The negative log-likelihood of each row's answers in nats, and of how many tokens it is the sum.

    Rows are at most as long as the model can read, and of 0 tokens nothing is judged.
    """
    import torch

    losses = []
    loaded.model.eval()
    with quiet(), torch.inference_mode():
        for row in rows:
            ids = torch.tensor([row.ids], device=loaded.model.device)
            learned = torch.tensor(row.learned, device=loaded.model.device)
            # Each position predicts the next token.
            logits = loaded.model(input_ids=ids, use_cache=False).logits[0, :-1].float()
            each = torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="none")
            counted = learned[1:]
            losses.append(Credit(earned=float(each[counted].sum()), possible=float(counted.sum())))
            on_progress(1)
    return losses
