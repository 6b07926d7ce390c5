"""Starts the process of a run with Prefect's engine, and waits for a server that is away just then.

Prefect tries again for minutes once a client has reached its server, but gives up at once if the first try fails: a run
that started while the server was gone for seconds crashed without having done anything. Prefect runs this file by its
path, in a folder where a team may have modules of its own.
"""

import runpy
import sys
from typing import Any

from prefect.client import base


def _be_patient(client: Any) -> None:
    begin = client.__init__

    def begin_patiently(self: Any, *args: Any, **settings: Any) -> None:
        begin(self, *args, **settings)
        self._has_connected = True

    client.__init__ = begin_patiently


for _client in (base.PrefectHttpxAsyncClient, base.PrefectHttpxSyncClient):
    _be_patient(_client)
# As with `python -m`: not the folder of this file.
sys.path[0] = ""
runpy.run_module("prefect.engine", run_name="__main__", alter_sys=True)
