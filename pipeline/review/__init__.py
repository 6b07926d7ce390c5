"""What annotators are asked in Label Studio, what they answer, and what the answers amount to.

In: committed decisions. Out: tasks on the server, rows of ``annotations``, and one annotator decision per record.
"""

__all__ = [
    "accounts",
    "answers_told",
    "asked_before",
    "consensus",
    "corrections",
    "form",
    "gold",
    "human_decisions",
    "known_answers",
    "label_studio",
    "label_studio_models",
    "label_studio_pages",
    "labeling_tasks",
    "opinions",
    "pulled_answers",
    "pushing",
    "questions",
    "queue",
    "reconciliation",
    "seating",
    "second_looks",
]
