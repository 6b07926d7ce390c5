"""A published version becomes a LoRA adapter, judged against the untuned model.

In: a published version and the settings of ``finetune:``. Out: a folder with the adapter, its card, its lineage and
every prediction that it was judged by.
"""

__all__ = ["adapters", "experiment"]
