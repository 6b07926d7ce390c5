"""What users read about a dataset: status, report, duplicates, a record's history, SQL, checks before a first run.

In: the committed state. Out: models that the command line shows, and the HTML pages.
"""

__all__ = [
    "all_datasets",
    "annotators",
    "attention",
    "check",
    "duplicates",
    "explain",
    "funnel_page",
    "last_finetuning",
    "lookup",
    "overview",
    "sql",
    "status",
    "tuned_arm",
    "unreliable",
    "verdict_page",
    "write_report",
]
