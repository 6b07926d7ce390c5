"""Kinds of task: what differs between classification, extraction and rewriting, a file each behind one interface.

In: a task and its rows. Out: the kind's strata, label scores, metric, form and starter files. A new kind is a file here
and a row in ``registry.KINDS``; nothing outside of this room names one.
"""
