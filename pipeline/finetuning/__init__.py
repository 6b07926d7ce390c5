"""Turns a published version into a LoRA adapter, and lets models answer its test questions.

In: a published version and the settings of ``finetune:``. Out: a folder with the adapter and its lineage; answers, and
how good they are.
"""

__all__ = [
    "adapters",
    "answer_form",
    "base_model",
    "checkpoints",
    "evaluate",
    "exam",
    "examples",
    "loaded_model",
    "lora_config",
    "losses",
    "machine_load",
    "merge",
    "model_places",
    "model_sources",
    "predict",
    "preflight",
    "preflight_timing",
    "row_tokens",
    "train",
    "training_rows",
    "written_turns",
]
