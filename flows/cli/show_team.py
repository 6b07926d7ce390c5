"""Shows a team of annotators in the terminal: what waits for each of them, and how they answer."""

from typing import TYPE_CHECKING

from flows.cli.console import out

if TYPE_CHECKING:
    from pipeline.reporting.overview import Seats


def show_seats(seats: "Seats | None") -> None:
    """For whom the open tasks are; nothing if every question has one seat."""
    if seats is None or not seats.tasks:
        return
    whose = ", ".join(f"{annotator or 'anybody'} {count:,}" for annotator, count in seats.by_annotator.items())
    kinds = {"for a second annotator": seats.seconds, "for an adjudicator": seats.adjudications}
    which = ", ".join(f"{count:,} {kind}" for kind, count in kinds.items() if count)
    out.print(f"  {whose}{f'; {which}' if which else ''}", markup=False)
