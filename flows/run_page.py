"""What the page of a run says about it: counts, notes and links; never a row's text, nor a key."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pipeline.reporting.funnel_page import funnel_markdown
from pipeline.reporting.status import project_address
from pipeline.text.wording import counted, questions_wait
from schemas.fate import EXPLANATIONS, Fate
from schemas.run_summary import Verb

if TYPE_CHECKING:
    from flows.collect import Collected
    from flows.context import Context
    from flows.curate import Curated, ReviewBatch
    from flows.finetune import Finetuned
    from flows.release import Released
    from flows.suggest import Suggestions
    from pipeline.state.compaction import Compacted
    from schemas.manifest import Funnel


def _funnel(funnel: "Funnel") -> str:
    return ", ".join(f"{getattr(funnel, fate.value):,} {fate.value}" for fate in Fate)


def _curated(result: "Curated") -> Iterator[str]:
    said = f"run {result.run}: {counted(result.lines, 'row')} read, {result.added:,} new or edited, "
    said += f"{result.withdrawn:,} withdrawn"
    yield said
    yield str(result.looked)
    yield f"{counted(result.decided, 'decision')} changed; now {_funnel(result.funnel)}"
    yield from (f"note: {note}" for note in result.note.splitlines())
    yield from filter(None, [result.beyond(is_fixed=result.proof is not None)])
    if result.proof is not None:
        yield str(result.proof)
    if result.suggested is not None:
        asked = result.suggested
        yield f"{asked.model}: {asked.answered:,} answered, {asked.failed:,} got no answer, {asked.waiting:,} wait"
    yield _waiting(result.review)


def _waiting(review: "ReviewBatch") -> str:
    if not review.waiting:
        return "nothing waits for annotators"
    waits = questions_wait(review.waiting, review.skipped, review.rows)
    if review.problem:
        return f"{waits}, {review.unsent:,} not sent: {review.problem}"
    return f"{waits}; {review.sent:,} sent{f' to {review.url}' if review.url else ''}"


def _collected(result: "Collected") -> Iterator[str]:
    yield f"run {result.run}: {counted(result.annotations, 'annotation')} changed, {result.decided:,} records decided"
    if result.looked is not None:
        yield str(result.looked)
    yield f"now {_funnel(result.funnel)}"
    yield from (f"note: {note}" for note in result.note.splitlines())
    if result.attention:
        yield f"{counted(len(result.attention), 'answer')} that only annotators can settle"
    if result.waiting:
        yield questions_wait(result.waiting, result.skipped, result.waiting_rows)
    yield f"next: {result.next_step}"


def _released(result: "Released") -> Iterator[str]:
    if result.looked is not None:
        yield str(result.looked)
    what = "published" if result.created else "nothing new since"
    yield f"{what} {result.dataset}@{result.version}, {result.digest}"
    yield ", ".join(f"{split}: {counted(rows, 'row')}" for split, rows in result.splits.items())
    yield result.path


def _finetuned(result: "Finetuned") -> Iterator[str]:
    judgement = result.assessment.judgement
    yield f"{result.dataset}@{result.version}: {counted(result.train_rows, 'training row')}"
    yield f"{judgement.verdict.heading}: {judgement.next_step}"
    yield result.path


def _compacted(result: "Mapping[str, Compacted]") -> Iterator[str]:
    counts = [(one.before, one.after, one.removed) for one in result.values()]
    before, after, removed = map(sum, zip((0, 0, 0), *counts, strict=True))
    yield f"{counted(before, 'file')} before, {counted(after, 'file')} now, {removed:,} deleted"


def _suggested(result: "Suggestions") -> Iterator[str]:
    if (asked := result.suggested) is not None:
        yield f"{asked.model}: {asked.answered:,} answered, {asked.failed:,} got no answer, {asked.waiting:,} wait"
    yield f"{counted(result.decided, 'decision')} changed"


_LINES: dict[str, Callable[[Any], Iterator[str]]] = {
    Verb.CURATE: _curated,
    Verb.COLLECT: _collected,
    Verb.RELEASE: _released,
    Verb.FINETUNE: _finetuned,
    Verb.COMPACT: _compacted,
    "suggest": _suggested,
}


def lines_about(verb: str, result: Any) -> list[str]:
    """The result of a verb, for the log of its run."""
    return list(_LINES[verb](result))


def curate_markdown(context: "Context", result: "Curated") -> str:
    """The same of a curate as a page: the funnel beside that of its new rows, why rows are rejected, and links."""
    reasons = "".join(
        f"| {group.code}{f' ({group.field})' if group.field else ''} | {EXPLANATIONS[group.code]} | {group.count:,} |\n"
        for group in result.rejections
    )
    held = "".join(f"| {code} | {EXPLANATIONS[code]} | {count:,} |\n" for code, count in result.in_review.items())
    head = "| reason | | rows |\n|---|---|---:|\n"
    return (
        funnel_markdown(result.dataset, result.funnel, result.change)
        + _bullets(_curated(result))
        + (f"\n## Rejected\n\n{head}{reasons}" if reasons else "")
        + (f"\n## In review, by first reason\n\n{head}{held}" if held else "")
        + links_markdown(context)
    )


def verb_markdown(context: "Context", verb: Verb, result: Any) -> str:
    """The same of another verb."""
    return f"# {context.dataset.config.name}: {verb}\n\n{_bullets(_LINES[verb](result))}{links_markdown(context)}"


def _bullets(lines: Iterator[str]) -> str:
    return "".join(f"- {line}\n" for line in lines if line)


def links_markdown(context: "Context") -> str:
    """Where the rest is; of the report also when it was written, since not every verb writes it."""
    report = context.store.report
    places = [f"the file: `{context.dataset.path}`", f"the home: `{context.store.root}`"]
    if report.exists():
        written = datetime.fromtimestamp(report.stat().st_mtime, UTC)
        places.append(f"the report, written {written:%F %H:%M} UTC: [{report}]({report.as_uri()})")
    if context.connection is not None:
        address = project_address(context, context.store.snapshot()) or context.connection.shown.rstrip("/")
        places.append(f"Label Studio: [{address}]({address})")
    return "\n## Where things are\n\n" + _bullets(iter(places))
