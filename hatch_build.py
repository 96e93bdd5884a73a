"""``LIMNER_SLIM=1 pip wheel .`` makes a wheel without the minis' weights.

Their hashes stay, and limner says what is missing (``limner.registry.bundled``). It is no extra,
``limner[minis]``, because an extra can add requirements to a package and never files.
"""

from __future__ import annotations

import os
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

MINIS = "/src/limner/registry/minis"


class SlimBuild(BuildHookInterface):
    """Found by hatchling, by its base."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if os.environ.get("LIMNER_SLIM", "0") not in ("", "0"):
            self.build_config.target_config.setdefault("exclude", []).append(MINIS)
