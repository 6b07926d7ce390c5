"""The nouns of Goldleaf: tasks, records, decisions, datasets, annotations and manifests.

Only pydantic and the standard library are imported here, so that anybody can load a task or a
manifest without the rest of Goldleaf.
"""
