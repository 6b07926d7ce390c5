"""How numbers and nouns are worded in messages."""

import itertools
import math


def sentence(text: str) -> str:
    """The text with a capital letter."""
    return text[:1].upper() + text[1:]


def counted(number: int, noun: str) -> str:
    """A number with its noun: 1 file, 2 files."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def questions_wait(count: int, skipped: int = 0, rows: int = 0) -> str:
    """How many questions annotators have not answered yet, and how many of them they skipped: a skip is no answer.

    A question is what one annotator is asked about one row; of how many rows is said if some have several.
    """
    which = ("it" if count == 1 else "them") if skipped == count else f"{skipped:,} of them"
    who = f", who skipped {which}" if skipped else ""
    about = f" about {counted(rows, 'row')}" if 0 < rows < count else ""
    return f"{counted(count, 'question')}{about} {'is' if count == 1 else 'are'} waiting for annotators{who}"


def shown_similarity(similarity: float, threshold: float) -> str:
    """With two digits, or as many as it takes to be on the same side of the threshold as the similarity itself."""
    texts = (f"{similarity:.{digits}f}" for digits in itertools.count(2))
    return next(text for text in texts if (float(text) >= threshold) == (similarity >= threshold))


def shown_label(label: str) -> str:
    """A label as shown to people; an absent optional label is the empty text."""
    return label or "(none)"


def shown_share(share: float) -> str:
    """A share in percent; a small one is never rounded to zero, nor a large one to all."""
    if 0 < share < 0.0005:
        return "<0.1%"
    return ">99.9%" if 0.9995 <= share < 1 else f"{share:.1%}"


def shown_amount(amount: float) -> str:
    """Money or seconds with three digits, without powers of ten: those of the classical arms are next to nothing."""
    if 0 < amount < 0.0001:
        return "<0.0001"
    return f"{amount:.3g}" if amount < 1000 else f"{amount:,.0f}"


def shown_measured(value: float, low: float | None = None, high: float | None = None) -> str:
    """A measured value, above 0, with three digits, or with those that half its interval leaves, if there is one."""
    least = math.floor(math.log10(value)) - 2
    if low is None or high is None or high <= low:
        text = f"{round(value, -least):,.{max(0, -least)}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    digit = min(max(least, math.floor(math.log10((high - low) / 2))), least + 2)
    return f"{round(value, -digit):,.{max(0, -digit)}f}"


def shown_duration(seconds: float) -> str:
    """A time that is only known roughly."""
    if seconds < 90:
        return counted(max(1, round(seconds)), "second")
    return counted(round(seconds / 60), "minute") if seconds < 5400 else f"{seconds / 3600:.1f} hours"
