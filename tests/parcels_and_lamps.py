"""A dataset in a shop: a question about a parcel, one about a lamp, and what its annotators have done."""

from desk import Desk, Row
from support import row

from pipeline.reporting.report_data import gather_report
from pipeline.reporting.report_page import ReviewCounts

ALL = "review: {budget: 100, audit: 1.0}\n"
PARCEL = "My parcel was promised for the ninth of the month but nobody has told us where it went since then"
LAMP = "The blue lamp came with a note from the shop that says we owe you forty more for the work"


def review_of(desk: Desk) -> ReviewCounts:
    snapshot = desk.context.store.snapshot().at_last_commit()
    return gather_report(snapshot, desk.context.dataset, funnel=snapshot.funnel()).review


def parcel(label: str | None, **more: object) -> Row:
    return row(1, PARCEL, label) | more
