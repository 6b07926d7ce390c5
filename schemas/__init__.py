"""The nouns of Goldleaf: tasks, records, decisions, datasets, annotations and manifests.

Only pydantic and the standard library are imported here, so that a task or a manifest can be loaded
without the rest of Goldleaf.
"""
