"""What deployments name: Goldleaf's flows, whatever else is called ``flows`` where a run starts.

Prefect runs this file by its path, in a process that looks for modules in its working directory first. A team may have
a folder ``flows``, ``pipeline`` or ``schemas`` there.
"""

import importlib
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
# It stays there, for the workers that a run starts.
sys.path.insert(0, str(_ROOT))
for _name, _module in list(sys.modules.items()):
    _package = _name.partition(".")[0]
    _file = getattr(_module, "__file__", None)
    if _package in ("flows", "pipeline", "schemas") and not (_file and Path(_file).is_relative_to(_ROOT / _package)):
        del sys.modules[_name]

importlib.import_module("flows.deploy.page_log").outlive_readers()
_flows = importlib.import_module("flows.deploy.prefect_flows")
curate, collect, release = _flows.curate, _flows.collect, _flows.release
finetune, compact = _flows.finetune, _flows.compact
