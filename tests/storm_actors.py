"""What runs in processes that storms kill: a verb of a home, whose requests go through a bad connection."""

import sys
import traceback
from pathlib import Path

from pydantic import SecretStr

from flows.collect import collect
from flows.context import Context
from flows.curate import curate
from flows.engines.engine import Inline
from flows.reconcile import reconcile
from flows.settings import Settings
from pipeline.errors import GoldleafError
from pipeline.review import label_studio_requests
from pipeline.review.label_studio_transport import Limits
from pipeline.time_limits import Patience

REFUSED, BROKEN = 3, 4
_HASTE = Patience(connect=2, answer=4.0, window=2.0, least_rate=1_000)
HASTY = Limits(login=_HASTE, usual=_HASTE, imports=_HASTE)


def act(verb: str, dataset: Path, home: Path, url: str, token: str, log: Path, hasty: bool) -> None:
    """Run a verb, and exit with what became of it: 0, ``REFUSED`` after one clear line, or ``BROKEN``."""
    if hasty:
        label_studio_requests.LIMITS = HASTY
    settings = Settings(
        goldleaf_home=str(home), label_studio_url=url, label_studio_api_key=SecretStr(token), prefect_api_url=""
    )
    try:
        context = Context.load(dataset, settings)
        if verb == "take over":
            curate(context, Inline(), push=False)
            done = reconcile(context, Inline(), take_over=True)
        else:
            done = curate(context, Inline()) if verb == "curate" else collect(context, Inline())
    except GoldleafError as error:
        with log.open("a") as file:
            file.write(f"{verb}: {error}\n")
        sys.exit(REFUSED if str(error).isprintable() else BROKEN)
    except Exception:
        with log.open("a") as file:
            file.write(f"{verb}: {traceback.format_exc()}\n")
        sys.exit(BROKEN)
    with log.open("a") as file:
        file.write(f"{verb}: {done.model_dump_json()}\n")
