"""A team that has worked on the clauses for a week: three annotators, gold items, adjudications, a model's suggestions.

For a look at the report, into a folder, on a Label Studio in memory: ``python tests/team_scene.py FOLDER``.
"""

import hashlib
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from desk import Desk
from fake_studio import FakeStudio, fake_studio
from loopback import Reply
from model_server import completion, last_user_text, model_server
from support import SAMPLES
from team import ANA, BEN, CLEO

from pipeline.reporting.write_report import write_report
from pipeline.review.labeling_tasks import prediction_result, verdict_result
from schemas.annotation import Verdict
from schemas.tasks.contract_clause import ClauseKind

KINDS = [kind.value for kind in ClauseKind]
CONFUSED = {"term": "renewal", "governing_law": "dispute_resolution", "warranty": "limitation_of_liability"}
CARE = {ANA: (0.02, 0.02), BEN: (0.08, 0.1), CLEO: (0.22, 0.97)}
"""How often each is wrong, and accepts what is filled in without a look."""
GOLD, UNLABELED, DAYS = 24, 30, 6


def draw(*what: object) -> float:
    """From 0 to 1, always the same for the same."""
    return int.from_bytes(hashlib.blake2b(repr(what).encode(), digest_size=6).digest(), "big") / 2**48


def wrong(kind: str, *what: object) -> str:
    """Another kind, mostly one that is confused with it."""
    other = CONFUSED.get(kind)
    return other if other and draw(*what, "usual") < 0.7 else KINDS[int(draw(*what, "any") * len(KINDS))]


class Scene:
    """The clauses, with the truth about each, and who answers them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.truth: dict[str, str] = {}
        lines = (SAMPLES / "clauses" / "clauses.jsonl").read_bytes().splitlines()
        known = (SAMPLES / "clauses" / "truth.jsonl").read_bytes().splitlines()
        gold, rows = [], []
        for line, told in zip(lines, map(json.loads, known), strict=True):
            try:
                row: dict[str, Any] = json.loads(line)
            except ValueError:
                continue
            if not told["usable"] or told["kind"] is None or not isinstance(row.get("clause"), str):
                continue
            self.truth[" ".join(row["clause"].split())] = told["kind"]
            if len(gold) < GOLD and not told["planted"]:
                gold.append(row | {"kind": told["kind"]})
            else:
                rows.append(row | ({"kind": None} if len(rows) < UNLABELED else {}))
        for name, some in (("rows", rows), ("gold", gold)):
            (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in some), encoding="utf-8")

    def ask(self, endpoint: str) -> None:
        """Write the dataset.yaml, in which the model at an endpoint is asked for suggestions."""
        (self.folder / "dataset.yaml").write_text(
            "name: clauses-of-a-team\ntask: schemas.tasks.contract_clause:ContractClause\n"
            "sources:\n  - {name: contracts, path: rows.jsonl}\n  - {name: experts, path: gold.jsonl, gold: true}\n"
            f"review:\n  annotators: [{ANA}, {BEN}, {CLEO}]\n  budget: 0.15\n  audit: 0.15\n"
            "  overlap: 0.3\n  gold: 0.1\n"
            f"suggest: {{endpoint: {endpoint}, model: small-model, price_in: 0.4, price_out: 1.6}}\n"
            "release: {title: Contract clauses of a team, license: Apache-2.0}\n",
            encoding="utf-8",
        )

    def right(self, clause: str) -> str:
        return self.truth[" ".join(clause.split())]

    def model(self, request: dict[str, Any], number: int) -> Reply:
        """Right in four of five clauses."""
        text = next(clause for clause in self.truth if clause in " ".join(last_user_text(request).split()))
        kind = self.truth[text] if draw("model", text) > 0.2 else wrong(self.truth[text], "model", text)
        return completion(json.dumps({"kind": kind}), tokens=len(text) // 4 + 60)

    def answer(self, desk: Desk, fake: FakeStudio, day: int, share: float) -> None:
        """A day's work: a share of the open tasks, by those that they are for."""
        task = desk.context.dataset.task
        answered = {row["task"] for row in fake.annotations.values()}
        for number, one in sorted(fake.tasks.items()):
            data = one["data"]
            who, clause, seat = data["assigned"] or ANA, data["clause"], data["seat"]
            if number in answered or draw(day, number) > share:
                continue
            slip, trust = CARE[who]
            kind, chance = self.right(clause), draw(who, clause)
            filled = one["predictions"][0]["result"] if one["predictions"] else []
            seat_slip = slip / 4 if seat.startswith("adjudicator") else slip
            if filled and draw(who, clause, "trusts") < trust:
                result = filled
            elif chance > 0.97:
                result = verdict_result(task, Verdict.UNSURE)
            else:
                given = wrong(kind, who, clause) if chance < seat_slip else kind
                result = prediction_result(task, {"kind": given})
            body = {"result": result, "completed_by": desk.client.ensure_user(who, "", "")}
            made = desk.api.post(f"/api/tasks/{number}/annotations/", json=body).raise_for_status().json()["id"]
            at = datetime.now(UTC) - timedelta(days=DAYS - day)
            fake.annotations[made] |= {
                "created_at": at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
                "lead_time": 4 + 40 * draw(number, "time") ** 2 * (1.5 - slip),
            }


def play(folder: Path, days: int = DAYS) -> Desk:
    """All days but the last evening's questions, which wait; the desk's server is gone afterwards."""
    with fake_studio() as fake:
        scene = Scene(folder)
        with model_server(scene.model) as server:
            scene.ask(server.endpoint)
            desk = Desk(folder, fake.url, fake.token)
            with desk.api, desk.client:
                desk.curate()
                for day in range(1, days + 1):
                    scene.answer(desk, fake, day, 0.3)
                    desk.collect()
                    desk.curate()
    return desk


if __name__ == "__main__":
    place = Path(sys.argv[1])
    place.mkdir(parents=True, exist_ok=True)
    write_report(play(place).context)
