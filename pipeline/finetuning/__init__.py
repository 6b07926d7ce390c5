"""Fine-tuning: a published version becomes a LoRA adapter, judged on the test split."""
