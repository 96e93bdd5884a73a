"""Everything mode whose thresholds left nothing, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def dropped_sentence(dropped: Mapping[str, Any], *, as_flags: bool = False) -> str:
    """``all 768 candidates are below pred_iou_thresh 0.88 or …; pred_iou_thresh 0.71 … would keep
    some``.

    Args:
        dropped: see ``protocols.DROPPED``.
        as_flags: settings as they are typed on the command line.
    """

    def typed(values: Mapping[str, float], joined: str) -> str:
        if as_flags:
            return " ".join(f"--{k.replace('_', '-')} {v:g}" for k, v in values.items())
        return joined.join(f"{name} {value:g}" for name, value in values.items())

    count, thresholds, keep = dropped["candidates"], dropped["thresholds"], dropped["keep"]
    if not count:
        return "the model proposed nothing"
    if not keep:
        return f"each of {count} candidates is empty, and no threshold keeps one"
    reached = " and ".join(f"{name} {value:g}" for name, value in thresholds.items())
    whose = f"none of {count} candidates" if count > 1 else "the one candidate doesn't"
    verb = "reaches" if count > 1 else "reach"
    return f"{whose} {verb} {reached}; {typed(keep, ' and ')} would keep some"
