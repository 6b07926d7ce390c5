"""Shows a record's history in the terminal: its current state, then all that happened, in chronological order."""

from rich.markup import escape

from flows.cli.console import out
from pipeline.reporting.explain import Asked, Decided, Published, Revision, Said, Story, TaskState
from schemas.fate import LabelSource
from schemas.seat import Seat, SeatKind

_SHOWN_COPIES = 10


def show_story(story: Story) -> None:
    """The current state first, then every entry of the timeline."""
    gone = " (no longer in its file)" if story.gone else ""
    at = f"  [bold]{escape(story.place)}[/]{gone}" if story.place else ""
    out.print(f"[bold]record {story.record_id}[/]{at}  source {escape(story.source)}, key {escape(story.key)}")
    releases = ", ".join(story.releases) or "none yet"
    out.print(f"now [bold]{story.now}[/]; split: {story.split or 'none yet'}; releases: {releases}")
    if story.note:
        out.print(f"[yellow]note:[/] {escape(story.note)}")
    for problem in story.unsearched:
        out.print(f"[red]not searched:[/] {escape(problem)}")
    for moment in story.timeline:
        out.print()
        _show_entry(getattr(story, moment.what)[moment.number], story)
    if story.duplicates:
        out.print("\ncopies of it:")
        for copy in story.duplicates[:_SHOWN_COPIES]:
            out.print(f"  {_with_places(copy, story)}", markup=False)
        if (more := len(story.duplicates) - _SHOWN_COPIES) > 0:
            out.print(f"  … and {more:,} more, all with --json")


def _show_entry(entry: Revision | Decided | Asked | Said | Published, story: Story) -> None:
    match entry:
        case Revision():
            _show_revision(entry)
        case Decided():
            _show_decision(entry, story)
        case Asked():
            state = "" if entry.state is TaskState.OPEN else f" [yellow]({entry.state})[/]"
            where = f"Label Studio task {entry.task_id} (project {entry.project}), sent {entry.pushed_at:%F %T}"
            out.print(f"{where}{_whose(entry)}{state}")
        case Said():
            _show_answer(entry)
        case Published():
            out.print(f"published in {entry.version}, {entry.published_at:%F %T}")


def _whose(asked: Asked) -> str:
    """What the answer is for, and for whom the task is, if questions have several seats."""
    seat = Seat.read(asked.seat)
    what = {
        SeatKind.FIRST: "",
        SeatKind.SECOND: ", for a second annotator",
        SeatKind.ADJUDICATOR: ", for an adjudicator",
        SeatKind.GOLD: ", as a gold item",
    }[seat.kind]
    return f"{what}, assigned to {escape(asked.annotator)}" if asked.annotator else what


def _show_revision(revision: Revision) -> None:
    if revision.withdrawn:
        what = "its row is gone from the source, or the source from dataset.yaml"
        out.print(f"[red]withdrawn[/], {revision.ingested_at:%F %T}: {what}")
        return
    later = " [yellow](superseded)[/]" if revision.superseded else ""
    when = f"revision {revision.revision[:12]}, {revision.ingested_at:%F %T}"
    out.print(f"[bold]{escape(revision.file)}:{revision.line}[/]  {when}{later}")
    out.print(revision.raw, markup=False)


def _show_decision(decision: Decided, story: Story) -> None:
    asked = "asked about" if decision.label_source == LabelSource.HUMAN else "for annotators"
    routed = f", {asked}: {decision.routed}" if decision.routed else ""
    out.print(f"run {decision.run}, {decision.verb}: [bold]{decision.fate}[/]{routed}")
    for reason in decision.reasons:
        out.print(f"  {_with_places(str(reason), story)}", markup=False)
    if decision.evaluation:
        out.print(f"    {decision.evaluation}", markup=False)
    if decision.duplicate_of:
        kept = _with_places(decision.duplicate_of, story)
        out.print(f"  kept instead: {kept}", markup=False)
    if decision.doubt:
        out.print(f"  {decision.doubt}", markup=False)
    if decision.targets is not None:
        _show_words(f"answer ({decision.label_source})", decision.answer)


def _show_answer(said: Said) -> None:
    deleted = " [red](deleted)[/]" if said.deleted else " [yellow](edited since)[/]" if said.edited else ""
    stale = f" [yellow](does not count: {said.stale})[/]" if said.stale else ""
    name = escape(said.email) if said.email else f"user {said.annotator}"
    who = f"annotation {said.annotation_id} by {name}, {said.updated_at:%F %T}"
    out.print(f"{who}: [bold]{said.verdict}[/]{deleted}{stale}")
    # Skips and unsure answers have no content.
    if said.error or said.targets is not None:
        _show_words("invalid" if said.error else "answer", said.error or said.answer)


def _show_words(what: str, words: str) -> None:
    """A text of one line after what it is, a longer one below it."""
    lines = words.split("\n")
    below = "".join(f"\n    {line}" for line in lines)
    out.print(f"  {what}:{below}" if len(lines) > 1 else f"  {what}: {words}", markup=False)


def _with_places(text: str, story: Story) -> str:
    """A text in which every record's id is followed by its file and line."""
    for record_id, place in story.places.items():
        text = text.replace(record_id, f"{record_id} ({place})")
    return text
