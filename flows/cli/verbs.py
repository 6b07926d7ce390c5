"""The commands that change a dataset: curate, collect, release, finetune, and run for all four."""

import functools
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from flows.cli.app import (
    DEFAULT,
    AsJson,
    DatasetFile,
    EngineName,
    Wait,
    app,
    explained,
    load_context,
    print_json,
    require_published,
    run_verb,
)
from flows.cli.console import (
    err,
    out,
    show_attention,
    show_funnel,
    show_in_review,
    show_proof,
    show_rejections,
    show_rows,
)
from flows.cli.show_finetuned import show_finetuned
from flows.cli.show_team import show_note
from pipeline.errors import LabelStudioError
from pipeline.text.wording import counted, questions_wait
from schemas.options import Fix

if TYPE_CHECKING:
    from pydantic import BaseModel

    from flows.collect import Collected
    from flows.curate import Curated, ReviewBatch
    from flows.finetune import Finetuned
    from flows.release import Released
    from flows.suggest import Suggested, Suggestions

_INVITE = "`goldleaf invite` prints the link for them"
Again = Annotated[bool, typer.Option("--again", help="Train and compare even if exactly that was done before.")]
SlowRows = Annotated[
    int | None, typer.Option("--slow-rows", min=1, help="How many questions slow arms are asked at most.")
]


@app.command(rich_help_panel="Workflow")
@explained
def curate(
    dataset: DatasetFile = DEFAULT,
    push: Annotated[bool, typer.Option(help="Send the review batch to Label Studio.")] = True,
    suggest: Annotated[bool, typer.Option(help="Ask the model that `suggest` names, if there is one.")] = True,
    rescore: Annotated[
        bool, typer.Option("--rescore", help="Score all labels for likely errors again, not only new ones.")
    ] = False,
    reindex: Annotated[bool, typer.Option("--reindex", help="Compare all texts again, not only new ones.")] = False,
    full: Annotated[
        bool, typer.Option("--full", help="Read and decide about all rows anew, not only those that a change affects.")
    ] = False,
    withdraw: Annotated[
        list[str] | None,
        typer.Option(metavar="SOURCE", help="Withdraw what this snapshot has lost, however many rows these are."),
    ] = None,
    engine: EngineName = None,
    wait: Wait = "0",
    as_json: AsJson = False,
) -> None:
    """Read the sources, give every record its fate, and send the uncertain ones to annotators.

    Reading the same files again adds nothing. Never waits for annotators: `goldleaf collect` fetches the answers.
    """
    options: dict[str, Any] = {"push": push, "suggest": suggest, "rescore": rescore, "reindex": reindex, "full": full}
    options["withdraw"] = withdraw or []
    context = load_context(dataset)
    with _shown_if_not_sent(print_json if as_json else show_curated, as_json):
        result: Curated = run_verb(context, engine, as_json, "curate", wait=wait, **options)
    if as_json:
        print_json(result)
        return
    show_curated(result)


@contextmanager
def _shown_if_not_sent(show: "Callable[[Curated], None]", as_json: bool) -> Iterator[None]:
    """Show what was decided and committed even if Label Studio then refuses the review batch."""
    try:
        yield
    except LabelStudioError as error:
        from flows.curate import NotSent

        if isinstance(error, NotSent):
            show(error.curated if as_json else _with_error_below(error.curated))
        raise


def _with_error_below(result: "Curated") -> "Curated":
    """The result of a run whose error is printed next, without the text of the error."""
    review = result.review
    problem = "Label Studio refuses, see below" if review.problem else ""
    return result.model_copy(update={"review": review.model_copy(update={"problem": problem})})


def show_curated(result: "Curated") -> None:
    """Print the result of a curate run."""
    out.print(
        f"read {counted(result.lines, 'row')}: {result.added:,} new or edited, {result.lines - result.added:,} known"
        + (f"; {result.withdrawn:,} withdrawn" if result.withdrawn else "")
    )
    out.print(str(result.looked), markup=False)
    show_funnel(result.funnel, result.dataset, result.change)
    for note in result.note.splitlines():
        out.print(f"[dim]note:[/] {escape(note)}")
    show_rejections(result.rejections)
    show_in_review(result.in_review)
    if beyond := result.beyond(is_fixed=result.proof is not None):
        out.print(beyond)
    if result.suggested is not None:
        show_suggested(result.suggested)
    if result.proof is not None:
        show_proof(result.proof)
    show_review(result.review)


def show_suggested(suggested: "Suggested") -> None:
    """Print what a model was asked and answered."""
    for line in suggested.lines():
        out.print(line, markup=False)


@app.command(rich_help_panel="Workflow")
@explained
def suggest(
    dataset: DatasetFile = DEFAULT,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Ask about at most this many rows, instead of suggest.limit.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show how many calls, tokens and what cost it would take.")
    ] = False,
    retry_invalid: Annotated[
        bool, typer.Option("--retry-invalid", help="Ask again about rows that the model never answered validly.")
    ] = False,
    engine: EngineName = None,
    wait: Wait = "0",
    as_json: AsJson = False,
) -> None:
    """Ask the model that `suggest` names about unlabeled and doubted rows, and decide again with its answers.

    The model is one at an endpoint (`suggest.endpoint` and `model`), or an adapter that `finetune` has trained
    (`suggest.adapter: latest`), which costs nothing a call.

    `curate` does so, too. What was answered is never asked or paid again, whatever ends a run, unless
    `--retry-invalid` asks about what was never answered validly.
    """
    options = {"limit": limit, "dry_run": dry_run, "retry_invalid": retry_invalid}
    result: Suggestions = run_verb(load_context(dataset), engine, as_json, "suggest", wait=wait, **options)
    if as_json:
        print_json(result)
        return
    if result.suggested is not None:
        show_suggested(result.suggested)
        out.print(f"{counted(result.decided, 'decision')} changed")
    if (found := result.estimated) is not None:
        cost = f", cost at most {found.cost:.4g} ({found.total_cost:.4g} spent so far)" if found.cost else ""
        valid = "" if found.tokens_valid is None else f" (about {found.tokens_valid:,} if they are nothing but choices)"
        known = f"{counted(found.known, 'row')} answered before"
        if found.known_invalid:
            known += f", {found.known_invalid:,} never validly (`--retry-invalid` asks again)"
        out.print(
            f"{found.model}: {counted(found.calls, 'call')} to make, {known}; "
            f"{found.tokens_in:,} tokens of prompts, at most {found.tokens_out:,} of answers{valid}{cost}",
            markup=False,
        )


REFUSED = "correct the row, or what the server objects to; the next curate sends it again"
"""What to do about a question that the server has refused."""


def show_review(review: "ReviewBatch") -> None:
    """Print the state of the review batch, and what to do next."""
    for refusal in review.refused:
        err.print(f"[red]Label Studio refused[/] {escape(refusal)}", soft_wrap=True)
    if review.refused:
        out.print(f"[dim]note:[/] what was refused stays open: {REFUSED}", soft_wrap=True)
    if review.withdrawn:
        one = review.withdrawn == 1
        tasks = "1 task was withdrawn: its" if one else f"{review.withdrawn:,} tasks were withdrawn: their"
        out.print(f"{tasks} question{'' if one else 's'} changed or no longer {'applies' if one else 'apply'}")
    if review.strangers:
        out.print(f"[yellow]no account in Label Studio yet:[/] {escape(', '.join(review.strangers))}; {_INVITE}")
    audits = ""
    if review.audits:
        audits = f", {review.audits:,} of them {'a random audit' if review.audits == 1 else 'random audits'}"
    # If all or none of them are unsent, the rest of the line says so.
    unsent = f", {review.unsent:,} not sent yet" if 0 < review.unsent < review.waiting else ""
    waiting = f"[yellow]{questions_wait(review.waiting, review.skipped, review.rows)}[/]{audits}{unsent}"
    if not review.waiting:
        out.print("nothing waits for annotators")
    elif review.problem:
        out.print(f"{waiting}: {escape(review.problem)}")
    elif review.url:
        hidden = f", and {counted(review.hidden, 'hidden gold item')}" if review.hidden else ""
        out.print(f"{waiting}; {review.sent - review.hidden:,} new{hidden} at {review.url}")
        for annotator, tab in review.tabs.items():
            out.print(f"  {annotator}: {tab}", markup=False)
    else:
        out.print(f"{waiting}; run curate without --no-push to send {'it' if review.waiting == 1 else 'them'}")
    for note in (*review.notes, review.nobody_left):
        show_note(note)


@app.command(rich_help_panel="Workflow")
@explained
def collect(
    dataset: DatasetFile = DEFAULT, engine: EngineName = None, wait: Wait = "0", as_json: AsJson = False
) -> None:
    """Pull annotations from Label Studio, and commit the decisions that follow.

    Only changes since the last pull are fetched. Edits and deletions count; a skip is not an answer.
    """
    result: Collected = run_verb(load_context(dataset), engine, as_json, "collect", wait=wait)
    if as_json:
        print_json(result)
        return
    show_collected(result)


def show_collected(result: "Collected") -> None:
    """Print the result of a collect run."""
    said = [
        f"{counted(result.annotations, 'annotation')} changed",
        f"{counted(result.decided, 'record')} decided by annotators",
    ]
    said += [f"{result.unsure:,} unsure"] if result.unsure else []
    said += [counted(result.disputed, "disagreement")] if result.disputed else []
    said += [f"{counted(result.taken_back, 'answer')} withdrawn"] if result.taken_back else []
    out.print(", ".join(said))
    if result.looked is not None:
        out.print(str(result.looked), markup=False)
    show_funnel(result.funnel, result.dataset, result.change)
    for note in result.note.splitlines():
        out.print(f"[dim]note:[/] {escape(note)}")
    show_attention(result.attention)
    if result.waiting:
        unsent = f", {result.unsent:,} not sent yet" if result.unsent else ""
        out.print(f"[yellow]{questions_wait(result.waiting, result.skipped, result.waiting_rows)}[/]{unsent}")
    if result.waiting or result.attention:
        out.print(f"[dim]next:[/] {escape(result.next_step)}")


@app.command(rich_help_panel="Workflow")
@explained
def release(
    dataset: DatasetFile = DEFAULT,
    version: Annotated[
        str | None,
        typer.Option(help="X.Y.Z, higher than the latest. Default: the next minor version, if anything changed."),
    ] = None,
    allow_lost: Annotated[bool, typer.Option("--allow-lost", help="Publish whatever rows it has lost.")] = False,
    engine: EngineName = None,
    wait: Wait = "0",
    as_json: AsJson = False,
) -> None:
    """Publish the accepted records as an immutable version that `datasets.load_dataset` reads.

    Splits never leak (near-duplicates and equal `group_by` values stay together), and rows never change their split.
    """
    more = {"version": version, "allow_lost": allow_lost}
    result: Released = run_verb(load_context(dataset), engine, as_json, "release", wait=wait, **more)
    if as_json:
        print_json(result)
        return
    show_released(result)
    out.print(f"[dim]next:[/] goldleaf finetune {escape(shlex.quote(str(dataset)))}")


def show_released(result: "Released") -> None:
    """Print which version there is now."""
    from pipeline.releases.absent_labels import in_words, why_empty

    if result.looked is not None:
        out.print(f"answers that came in: {result.looked}", markup=False)
    what = "published" if result.created else "nothing new since"
    out.print(f"{what} [bold]{result.dataset}@{result.version}[/] {result.digest[:19]}…")
    show_rows("", ["split", "rows"], list(result.splits.items()))
    for what, said in [("note", result.note), ("lost", result.lost)]:
        if said:
            out.print(f"[yellow]{what}:[/] {escape(said)}")
    for split, share in result.empty.items():
        out.print(f"[yellow]the split '{split}' is empty:[/] {why_empty(share, sum(result.splits.values()))}")
    if result.absent:
        out.print(f"{in_words(result.absent)}.", markup=False)
    if result.preferences:
        out.print(f"{counted(sum(result.preferences.values()), 'preference pair')} from annotators' corrections")
    if count := result.probably_wrong:
        they = f"{counted(count, 'published row')} {'is' if count == 1 else 'are'}"
        way_out = "raise `review.budget` or set `review.unreviewed: hold`"
        out.print(f"[yellow]{they} probably wrong:[/] nobody was asked; {way_out}")
    if result.proof is not None:
        show_proof(result.proof)
    for source in result.frozen:
        out.print(str(source), markup=False)
    out.print(result.path, markup=False)


@app.command(rich_help_panel="Workflow")
@explained
def finetune(
    dataset: DatasetFile = DEFAULT,
    version: Annotated[str, typer.Option(help="A published version, or latest.")] = "latest",
    again: Again = False,
    slow_rows: SlowRows = None,
    seeds: Annotated[
        int | None, typer.Option("--seeds", min=1, max=20, help="Train with so many seeds, instead of finetune.seeds.")
    ] = None,
    curve: Annotated[bool, typer.Option("--curve", help="Train on fewer rows, too: would more of them help?")] = False,
    ablate: Annotated[bool, typer.Option("--ablate", help="Train on the raw rows, too: did curation help?")] = False,
    fix: Annotated[
        list[Fix] | None,
        typer.Option(help="What to do about rows instead of stopping, instead of finetune.fix; may be given twice."),
    ] = None,
    retry_invalid: Annotated[
        bool, typer.Option("--retry-invalid", help="Ask endpoints again what they never answered validly.")
    ] = False,
    engine: EngineName = None,
    wait: Wait = "0",
    as_json: AsJson = False,
) -> None:
    """Train a LoRA adapter on a published version, and say whether it was worth it.

    The adapter is compared with what else could be done, on the same test questions: the most frequent
    answer, a linear model, the nearest training row, the prompted base model, and whatever `arms` lists.
    """
    context = load_context(dataset)
    require_published(context)
    options = {"version": version, "again": again, "slow_rows": slow_rows, "seeds": seeds}
    options |= {"curve": curve, "ablate": ablate, "fix": fix, "retry_invalid": retry_invalid}
    result: Finetuned = run_verb(context, engine, as_json, "finetune", wait=wait, **options)
    if as_json:
        print_json(result)
        return
    show_finetuned(result, dataset)


_SHOW: dict[str, Callable[[Any], None]] = {
    "curate": show_curated,
    "collect": show_collected,
    "release": show_released,
}


def show_result(name: str, result: Any, dataset: Path) -> None:
    """Print the result of a verb on a dataset.yaml."""
    if name == "finetune":
        show_finetuned(result, dataset)
    else:
        _SHOW[name](result)


@app.command(rich_help_panel="Workflow")
@explained
def run(dataset: DatasetFile = DEFAULT, engine: EngineName = None, wait: Wait = "0", as_json: AsJson = False) -> None:
    """Run curate, collect, release and finetune in order, with the annotations so far."""
    from flows.run import run_all

    context = load_context(dataset)
    done: dict[str, Any] = {}

    def show(name: str, result: "BaseModel") -> None:
        done[name] = result.model_dump(mode="json")
        if not as_json:
            out.rule(name)
            show_result(name, result, dataset)

    try:
        with _shown_if_not_sent(functools.partial(show, "curate"), as_json):
            for name, result in run_all(context, functools.partial(run_verb, context, engine, as_json, wait=wait)):
                show(name, result)
    finally:
        # What was done is shown even if a later verb fails: a version may have been published.
        if as_json and done:
            print_json(done)
