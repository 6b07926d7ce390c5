"""Licenses as the Hugging Face Hub takes them in the head of a card."""

import re
from collections.abc import Iterable

_HUB_LICENSE = re.compile(
    r"cc0-1\.0|cc-by(-nc)?(-nd|-sa)?-[234]\.[05]|cdla-(permissive|sharing)-[12]\.0|odbl|odc-by|pddl"
    r"|apache-2\.0|mit|bsd(-[23]-clause)?|[al]?gpl-[23]\.[01]|gfdl|mpl-2\.0|unlicense|etalab-2\.0|unknown"
)
"""What the hub accepts as ``license``; for anything else it requires ``other`` and a name."""


def hub_license(names: Iterable[str]) -> dict[str, str | list[str]]:
    """The license of a whole, or those of its parts; empty if there is none."""
    texts = sorted(set(names))
    ids = [text.lower() if _HUB_LICENSE.fullmatch(text.lower()) else "other" for text in texts]
    others = "; ".join(text for text, known in zip(texts, ids, strict=True) if known == "other")
    if not ids:
        return {}
    found: dict[str, str | list[str]] = {"license": ids[0] if len(ids) == 1 else sorted(set(ids))}
    return found | ({"license_name": others} if others else {})
