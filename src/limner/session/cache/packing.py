"""Answers of stages as bytes, and back without a loss: arrays as safetensors, masks as run lengths,
a SHA-256 before it all, because a flipped bit would be a wrong answer.

Never a pickle: a cache may lie where strangers write.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import supervision as sv

from limner.errors import FileError
from limner.ops import detections as dets
from limner.ops.masks import MaskCrop
from limner.pipeline.ensemble import AGREED, MemberBox
from limner.pipeline.tiles import SEEN
from limner.untrusted.json_toml import parse_json

Arrays = Mapping[str, npt.NDArray[Any]]

SUM = hashlib.sha256().digest_size
COLUMNS = ("prompt_index", "mask_score", SEEN)
"""Numbers a row; names, candidates and who agreed go to the JSON."""


class Unreadable(Exception):
    """Bytes that this limner didn't make."""


def pack(arrays: Arrays, facts: Mapping[str, Any]) -> bytes:
    """Arrays by name, and JSON values."""
    from safetensors.numpy import save

    whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    content = save(whole, metadata={"facts": json.dumps(facts)})
    return hashlib.sha256(content).digest() + content


def unpack(content: bytes) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    """Inverse of ``pack``.

    Raises:
        Unreadable: cut off, damaged, or something else.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    checksum, content = content[:SUM], content[SUM:]
    if hashlib.sha256(content).digest() != checksum:
        raise Unreadable("not what was written")
    try:
        length = int.from_bytes(content[:8], "little")
        header = parse_json(content[8 : 8 + length], "header", ours=True)
        facts = parse_json(header["__metadata__"]["facts"], "facts", ours=True)
        return load(content), cast(dict[str, Any], facts)
    except (SafetensorError, FileError, ValueError, KeyError, TypeError) as error:
        raise Unreadable(str(error)) from error


def pack_detections(detections: sv.Detections, facts: Mapping[str, Any]) -> bytes:
    """Rows with all our keys, and what else is to be known."""
    arrays: dict[str, Any] = {
        "xyxy": detections.xyxy,
        "confidence": detections.confidence,
        "class_id": detections.class_id,
    }
    arrays |= {name: detections.data[name] for name in COLUMNS if name in detections.data}
    names = [str(name) for name in detections.data["class_name"]]
    columns: dict[str, Any] = {"names": names, **facts}
    masks: list[MaskCrop] = []
    if detections.mask is not None:
        masks = [dets.crop_of(detections, row) for row in range(len(detections))]
        columns["masks"] = [mask.to_rle() for mask in masks]
    if "candidates" in detections.data:
        own = zip(masks, columns.get("masks", ()), strict=True)
        columns["candidates"] = [
            [
                (rle if crop.equals(mask) else crop.to_rle(), score)
                for crop, score in map(row.crop, range(len(row)))
            ]
            for row, (mask, rle) in zip(detections.data["candidates"], own, strict=True)
        ]
    if AGREED in detections.data:
        columns[AGREED] = [[member.to_dict() for member in row] for row in detections.data[AGREED]]
    return pack({name: array for name, array in arrays.items() if array is not None}, columns)


def unpack_detections(content: bytes) -> tuple[sv.Detections, dict[str, Any]]:
    """Inverse of ``pack_detections``.

    Raises:
        Unreadable: as ``unpack``.
    """
    arrays, facts = unpack(content)
    try:
        detections = dets.make(
            arrays["xyxy"], arrays["confidence"], arrays["class_id"], facts.pop("names")
        )
        rles = facts.pop("masks", ())
        masks = [MaskCrop.from_rle(rle) for rle in rles]
        columns = {}
        if "candidates" in facts:
            columns["candidates"] = [
                dets.Candidates.of(
                    [(mask if rle == own else MaskCrop.from_rle(rle), score) for rle, score in row]
                )
                for row, mask, own in zip(facts.pop("candidates"), masks, rles, strict=True)
            ]
        if "mask_score" in arrays:
            detections = dets.with_masks(detections, masks, arrays["mask_score"], **columns)
        if SEEN in arrays:
            detections.data[SEEN] = arrays[SEEN]
        if AGREED in facts:
            rows = [tuple(map(MemberBox.from_dict, row)) for row in facts.pop(AGREED)]
            detections = dets.with_column(detections, AGREED, rows)
    except (KeyError, ValueError, TypeError) as error:
        raise Unreadable(str(error)) from error
    return detections, facts
