"""Finetune: a published version becomes a LoRA adapter, judged against the untuned model."""
