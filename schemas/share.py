"""Numbers that keys of dataset.yaml take."""

from typing import Annotated

from pydantic import Field

Share = Annotated[float, Field(ge=0, le=1)]
MOST = 2**63 - 1
"""For integers: tables and manifests hold 64 bits."""
Count = Annotated[int, Field(gt=0, le=MOST)]
