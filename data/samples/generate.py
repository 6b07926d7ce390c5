"""Generates the sample datasets from the hand-written material, with the same bytes each time.

python data/samples/generate.py            rewrite the files next to this one
python data/samples/generate.py --out DIR  write them to another folder
python data/samples/generate.py --check    check that the files here are up to date, and
                                           that only planted copies are similar
python data/samples/generate.py --counts   print the table of the README
"""

import argparse
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Protocol

import assistant_set
import clause_set
import invoice_set
import plain_set
import support_set
from wording import jaccard, trigrams

HERE = Path(__file__).parent
MAX_SIMILARITY = 0.6


class Row(Protocol):
    """What every set says about its rows."""

    @property
    def compared(self) -> str:
        """The text by which rows are compared."""

    @property
    def plant(self) -> str | None:
        """What is planted in it."""

    @property
    def detail(self) -> str | None:
        """In which form."""

    @property
    def original(self) -> "Row | None":
        """The row that it repeats."""


Rows = Sequence[Row]


def write(contents: Mapping[str, bytes], folder: Path) -> None:
    """Write the files, and say where."""
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        print(f"{path}: {len(content):,} bytes")


def stale(contents: Mapping[str, bytes], folder: Path) -> list[str]:
    """Return the files that are not there or not as they would be written now."""
    paths = {name: folder / name for name in contents}
    return [name for name, path in paths.items() if not path.exists() or path.read_bytes() != contents[name]]


def too_similar(rows: Rows) -> list[str]:
    """Return a line for each two unplanted texts that share 0.6 or more of their trigrams."""
    texts = [row.compared for row in rows if row.original is None]
    grams = [(text, trigrams(text)) for text in texts if text]
    pairs = ((jaccard(a, b), s, t) for (s, a), (t, b) in combinations(grams, 2))
    return [
        f"{similar_rows:.2f} similar: {s!r} {t!r}" for similar_rows, s, t in pairs if similar_rows >= MAX_SIMILARITY
    ]


def counts(sets: Mapping[str, Rows]) -> str:
    """Return the table of the README: what is planted, how often, in which forms."""
    lines = ["| set | planted | rows | forms |", "|---|---|---|---|"]
    for name, rows in sets.items():
        lines.append(f"| {name} | **all rows** | **{len(rows)}** | |")
        plants = Counter(row.plant or "nothing" for row in rows)
        for plant, number in sorted(plants.items(), key=lambda item: (item[0] == "nothing", item[0])):
            forms = Counter(row.detail for row in rows if row.plant == plant and row.detail)
            text = ", ".join(f"`{form}` {number}" for form, number in sorted(forms.items()))
            lines.append(f"| {name} | {plant} | {number} | {text.replace('|', chr(92) + '|')} |")
    return "\n".join(lines)


def main() -> int:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(description="Rewrite the sample datasets.")
    parser.add_argument("--out", type=Path, default=HERE, help="folder to write to")
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    parser.add_argument("--counts", action="store_true", help="print what is planted")
    options = parser.parse_args()
    clauses, invoices, support = clause_set.build(), invoice_set.build(), support_set.build()
    plain, assistant = plain_set.build(), assistant_set.build()
    sets: dict[str, Rows] = {
        "clauses": clauses,
        "invoices": invoices,
        "support": support,
        "plain": plain,
        "assistant": assistant,
    }
    contents = clause_set.files(clauses) | invoice_set.files(invoices) | support_set.files(support)
    contents |= plain_set.files(plain) | assistant_set.files(assistant)
    if options.counts:
        print(counts(sets))
    elif options.check:
        faults = [f"{name} is stale; run generate.py" for name in stale(contents, options.out)]
        faults += [fault for rows in sets.values() for fault in too_similar(rows)]
        print("\n".join(faults) or "all files are as generated; no unplanted similarity")
        return 1 if faults else 0
    else:
        write(contents, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
