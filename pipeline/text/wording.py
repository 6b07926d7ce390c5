"""How numbers and things are put into words for people."""


def counted(number: int, noun: str) -> str:
    """A number with its noun: 1 file, 2 files."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def questions_wait(count: int) -> str:
    """How many questions people have not answered yet."""
    return f"{counted(count, 'question')} {'waits' if count == 1 else 'wait'} for annotators"


def shown_label(label: str) -> str:
    """A label as people read it; the absent one of an optional target is the empty text."""
    return label or "(none)"
