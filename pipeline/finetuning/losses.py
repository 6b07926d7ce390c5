"""How likely a model finds the gold answers: their loss, token by token, without letting it write."""

from collections.abc import Callable, Sequence

from pipeline.evaluation.scores import Credit
from pipeline.finetuning.loaded_model import LoadedModel
from pipeline.finetuning.row_tokens import Tokens
from pipeline.finetuning.training_libraries import quiet


def answer_losses(
    loaded: LoadedModel,
    rows: Sequence[Tokens],
    on_progress: Callable[[int], None] = lambda done: None,
) -> list[Credit]:
    """The negative log-likelihood of each row's answers in nats, and of how many tokens it is the sum.

    Rows are at most as long as the model can read, and of 0 tokens nothing is judged. Only what is judged is scored
    against the vocabulary: a whole conversation would take gigabytes.
    """
    import torch

    losses: list[Credit] = []
    loaded.model.eval()
    with quiet(), torch.inference_mode():
        for row in rows:
            # Each position predicts the next token.
            places = [place for place, counts in enumerate(row.learned[1:]) if counts]
            losses.append(Credit(earned=_loss(loaded, row.ids, places) if places else 0.0, possible=float(len(places))))
            on_progress(1)
    return losses


def _loss(loaded: LoadedModel, ids: Sequence[int], places: Sequence[int]) -> float:
    """The loss of what the model guesses at some places, together."""
    import torch

    device = loaded.model.device
    read, asked = torch.tensor([ids], device=device), torch.tensor(places, device=device)
    logits = loaded.model(input_ids=read, logits_to_keep=asked, use_cache=False).logits[0].float()
    return float(torch.nn.functional.cross_entropy(logits, read[0, asked + 1], reduction="sum"))
