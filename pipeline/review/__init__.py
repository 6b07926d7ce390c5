"""What annotators are asked in Label Studio, what they answer, and what the answers amount to.

In: committed decisions. Out: tasks on the server, rows of ``annotations``, and one annotator decision per record.
"""

__all__ = ["annotating_client", "consensus", "form", "label_studio", "labeling_tasks", "queue"]
