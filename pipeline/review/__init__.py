"""What annotators are asked in Label Studio, what they answer, and what the answers come to.

In: committed decisions. Out: tasks on the server, rows of ``annotations``, and one human decision a record.
"""

__all__ = ["annotating_client", "consensus", "form", "label_studio", "labeling_tasks", "queue"]
