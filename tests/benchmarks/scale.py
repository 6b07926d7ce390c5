"""How Goldleaf scales: a million rows and three, a batch into an index, one template, a cold start.

All numbers are the minimum of three rounds, which interleave the measurements.
"""

import shutil
from pathlib import Path

import numpy as np
from corpus import corpus, template_corpus
from measuring import Labels, Measured, Spent, folder, measure_start_to_end
from ours import run_ours
from tables import Results, verdict

MILLION, BATCH, FEW, MANY, TINY = 1_000_000, 50_000, 10_000, 200_000, 1_000
ROUNDS = 3
_GROWTH, _MEMORY, _BATCH_SHARE, _TEMPLATE_GROWTH, _COLD_SECONDS = 3.2, 2_500, 1 / 6, 25, 3
"""The targets."""
Row = tuple[str, ...]


def scale(cache: Path, warm: Path) -> Results:
    """Measure everything; fifteen minutes.

    Args:
        cache: a folder for the corpora (2 GB).
        warm: the folder of a tiny corpus.
    """
    return Results(
        "Scale",
        ("what", "CPU s", "in the kernel", "wall s", "MB", "against", "target", "verdict"),
        [*_growth(cache, warm), *_batches(cache, warm), *_templates(cache, warm), *_cold_start(cache)],
        "Minimum CPU of three rounds. In the kernel: the operating system's share of it, mostly to allocate memory; a "
        "virtual machine is several times slower at that for memory that the host took back. The batch: the text files "
        "of the first million rows are already on disk, as in a run that has just read them; in the line below they "
        "are written and their words hashed again, too.",
    )


def _growth(cache: Path, warm: Path) -> list[Row]:
    sizes = [MILLION, 3 * MILLION]
    parts = {size: corpus(cache, size).parts for size in sizes}
    rounds = [{size: run_ours("goldleaf-streamed", warm, parts[size])[0] for size in sizes} for _ in range(ROUNDS)]
    one, three = (min((taken[size] for taken in rounds), key=_cpu) for size in sizes)
    growth, without = three.cpu / one.cpu, three.user / one.user
    against = f"{growth:.2f} x of 1M; {without:.2f} x without the kernel"
    return [
        _row("1M rows, streamed", one),
        _row("3M rows, streamed", three, against, f"<= {_GROWTH} x", verdict(growth, _GROWTH)),
        (
            *("memory at 3M rows", "", "", "", f"{three.memory:,}", ""),
            *(f"<= {_MEMORY:,} MB", verdict(three.memory, _MEMORY)),
        ),
    ]


def _batches(cache: Path, warm: Path) -> list[Row]:
    whole = corpus(cache, MILLION + BATCH).parts
    rounds = []
    for _ in range(ROUNDS):
        with folder() as keep, folder() as again, folder() as fresh:
            build, _ = run_ours("goldleaf-index", warm, whole[:-1], keep)
            shutil.copytree(keep, again, dirs_exist_ok=True, ignore=shutil.ignore_patterns("texts"))
            batch, grown = run_ours("goldleaf-index", warm, whole[-1:], keep)
            rewritten, _ = run_ours("goldleaf-index", warm, whole, again)
            rebuild, built = run_ours("goldleaf-index", warm, whole, fresh)
            rounds.append((build, batch, rewritten, rebuild))
    build, batch, rewritten, rebuild = (min(taken, key=_cpu) for taken in zip(*rounds, strict=True))
    equal = "the same clusters" if _same(grown, built) else "**other clusters**"
    return [
        _row("an index of 1M rows, built", build),
        _row("1.05M rows, rebuilt", rebuild),
        _row(
            *("50k rows into the index of 1M", batch, f"{batch.cpu / rebuild.cpu:.3f} x of the rebuild; {equal}"),
            *(f"<= {_BATCH_SHARE:.3f} x", verdict(batch.cpu / rebuild.cpu, _BATCH_SHARE)),
        ),
        _row("the same, all 1.05M texts rewritten", rewritten, f"{rewritten.cpu / rebuild.cpu:.3f} x of the rebuild"),
    ]


def _same(one: Labels, other: Labels) -> bool:
    """Whether labels that may differ mean the same clusters."""
    together = len(np.unique(np.stack([one, other]), axis=1).T)
    return together == len(np.unique(one)) == len(np.unique(other))


def _templates(cache: Path, warm: Path) -> list[Row]:
    parts = {size: template_corpus(cache, size).parts for size in (FEW, MANY)}
    rounds = [{size: run_ours("goldleaf", warm, parts[size])[0] for size in parts} for _ in range(ROUNDS)]
    few, many = (min((taken[size] for taken in rounds), key=_cpu) for size in (FEW, MANY))
    growth = many.cpu / few.cpu
    return [
        _row("10k rows of one template", few),
        _row(
            *("200k rows of one template", many, f"{growth:.1f} x of 10k"),
            *(f"<= {_TEMPLATE_GROWTH} x", verdict(growth, _TEMPLATE_GROWTH)),
        ),
    ]


def _cold_start(cache: Path) -> list[Row]:
    parts, rounds = corpus(cache, TINY).parts, []
    for _ in range(ROUNDS):
        with folder() as compiled:
            places = {"NUMBA_CACHE_DIR": str(compiled)}
            rounds.append([measure_start_to_end("ours.py", "goldleaf", parts, places) for _ in ("cold", "warm")])
    cold, warm = (min(taken, key=_cpu) for taken in zip(*rounds, strict=True))
    more = cold.cpu - warm.cpu
    return [
        _row("1,000 rows, the whole process, kernels compiled before", warm),
        _row(
            "the same with nothing compiled",
            cold,
            f"{more:.1f} s more",
            f"<= {_COLD_SECONDS} s",
            verdict(more, _COLD_SECONDS),
        ),
    ]


def _cpu(spent: Spent) -> float:
    return spent.cpu


def _row(what: str, spent: Spent, against: str = "", target: str = "", met: str = "") -> Row:
    memory = f"{spent.memory:,}" if isinstance(spent, Measured) else ""
    return (what, f"{spent.cpu:.2f}", f"{spent.system:.2f}", f"{spent.wall:.2f}", memory, against, target, met)
