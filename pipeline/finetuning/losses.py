"""How likely a model finds the gold answers: their loss, token by token, without letting it write."""

from collections.abc import Callable, Sequence

from pipeline.evaluation.scores import Credit
from pipeline.finetuning.base_model import LoadedModel, quiet
from pipeline.finetuning.examples import Example
from pipeline.finetuning.training_rows import as_tokens, reach
from schemas.dataset import Finetune


def answer_losses(
    loaded: LoadedModel,
    examples: Sequence[Example],
    config: Finetune,
    on_progress: Callable[[int], None] = lambda done: None,
) -> list[Credit]:
    """The negative log-likelihood of each row's answers in nats, and of how many tokens it is the sum.

    Rows are cut at the length that the model can read: what lies beyond is not judged, and of 0 tokens nothing is.
    """
    import torch

    limit = reach(config, loaded)
    losses = []
    loaded.model.eval()
    with quiet(), torch.inference_mode():
        for example in examples:
            row = as_tokens(example, loaded, config.turns)
            ids = torch.tensor([row.ids[:limit]], device=loaded.model.device)
            learned = torch.tensor(row.learned[:limit], device=loaded.model.device)
            # Each position predicts the next token.
            logits = loaded.model(input_ids=ids, use_cache=False).logits[0, :-1].float()
            each = torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="none")
            counted = learned[1:]
            losses.append(Credit(earned=float(each[counted].sum()), possible=float(counted.sum())))
            on_progress(1)
    return losses
