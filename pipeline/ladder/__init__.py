"""The ladder: everything that a team could have done instead of fine-tuning, on the same test questions.

In: a published version, an adapter, the section `arms`. Out: the scores of all arms with intervals, their costs, and a
verdict on whether the adapter was worth it.
"""

__all__ = [
    "assessment",
    "baselines",
    "endpoints",
    "experiment",
    "judgement",
    "kept_answers",
    "kept_measures",
    "learning_curve",
    "plan",
    "results",
    "retrained_scores",
    "uncurated_rows",
]
