"""Starts the process of a run with Prefect's engine, and waits for a server that is away just then.

Prefect tries again for minutes once a client has reached its server, but gives up at once if the first try fails: a run
that started while the server was gone for seconds crashed without having done anything. Prefect runs this file by its
path, in a folder where a team may have modules of its own.
"""

import runpy
import sys
import time

import httpx
from prefect.settings import PREFECT_API_URL

_PATIENCE, _PAUSE = 600.0, 2.0
"""Seconds: for how long the server may be away, and between two looks."""


def _wait_for_server(url: str) -> None:
    """Return once anything answers there, or when the patience ends: then the engine says what is wrong."""
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        try:
            # Whatever it answers, and whoever has signed its certificate: it is there.
            httpx.get(f"{url.rstrip('/')}/health", verify=False, timeout=10)  # noqa: S501
            return
        except httpx.TransportError as error:
            sys.stderr.write(f"the Prefect server at {url} is away ({error or type(error).__name__}); trying again\n")
            sys.stderr.flush()
            time.sleep(_PAUSE)


if address := PREFECT_API_URL.value():
    _wait_for_server(address)
# As with `python -m`: not the folder of this file.
sys.path[0] = ""
runpy.run_module("prefect.engine", run_name="__main__", alter_sys=True)
