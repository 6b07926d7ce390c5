"""Turns a published version into a LoRA adapter, evaluated against the untuned model.

In: a published version and the settings of ``finetune:``. Out: a folder with the adapter, its card, its lineage and
every prediction of the evaluation.
"""

__all__ = ["adapters", "answer_form", "base_model", "experiment", "merge", "predict", "written_turns"]
