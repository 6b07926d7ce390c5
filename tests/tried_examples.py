"""How many examples a property test tries, where the usual number is too many for it or too few."""

from hypothesis import settings

_USUAL = 100


def examples(count: int) -> settings:
    """So many; with ``--hypothesis-profile=search``, as many times more as of every other property."""
    return settings(max_examples=count * settings.default.max_examples // _USUAL)
