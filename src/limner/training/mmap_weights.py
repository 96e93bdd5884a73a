"""Frozen weights stay in their file: a layer reads them when it computes, and lets go of them then.

``from_pretrained`` doesn't copy a safetensors file into memory, it maps it. Frozen weights in the
file's own number format are therefore pages of the file, which are read when a layer computes and
from then on count as memory of the process. Here they are dropped again after the layer, forward
and backward (madvise(2), ``MADV_DONTNEED``): the kernel keeps the file's pages as long as there is
room, so that they come back without the disk, and where there is none it reads them again. The
numbers are the same to the last bit. Only on Linux; weights on another device or in another number
format than the file's are copies, and stay where they are.
"""

from __future__ import annotations

import ctypes
import mmap
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch

DONT_NEED = 4  # MADV_DONTNEED, bits/mman-linux.h
SMALLEST = 64 * 1024
"""Bytes of a layer's weights below which nothing is gained."""
Span = tuple[int, int]
"""Addresses, from and to."""


def leave_in_file(*parts: torch.nn.Module) -> int:
    """Have the layers of frozen parts let go of their weights after use.

    Returns:
        How many bytes of weights that is; 0 where none are pages of a file.
    """
    if sys.platform != "linux":
        return 0
    files = _mapped_files(Path("/proc/self/smaps").read_text("utf-8", "replace"))
    bytes_left = 0
    for layer in (layer for part in parts for layer in part.modules()):
        parameters = [Mapped.of(parameter) for parameter in layer.parameters(recurse=False)]
        mapped = [parameter for parameter in parameters if _in_one_of(files, parameter.span)]
        size = sum(parameter.size for parameter in mapped)
        if size >= SMALLEST:
            layer.register_forward_hook(_releasing(mapped))
            bytes_left += size
    return bytes_left


@dataclass(frozen=True, eq=False)
class Mapped:
    """A parameter, and the whole pages that nothing else lies in."""

    parameter: torch.nn.Parameter
    address: int
    version: int
    """torch's count of how often it was written to."""
    span: Span

    @classmethod
    def of(cls, parameter: torch.nn.Parameter) -> Mapped:
        if parameter.device.type != "cpu" or not parameter.is_contiguous():
            return cls(parameter, 0, 0, (0, 0))
        address, size = parameter.data_ptr(), parameter.numel() * parameter.element_size()
        first = -(-address // mmap.PAGESIZE) * mmap.PAGESIZE
        last = (address + size) // mmap.PAGESIZE * mmap.PAGESIZE
        return cls(parameter, address, parameter._version, (first, max(first, last)))

    @property
    def size(self) -> int:
        return self.span[1] - self.span[0]

    def release(self) -> None:
        """Drop the pages, unless they are no longer those of the file."""
        parameter = self.parameter
        same = parameter.data_ptr() == self.address and parameter._version == self.version
        if same and not parameter.requires_grad:
            _libc().madvise(ctypes.c_void_p(self.span[0]), ctypes.c_size_t(self.size), DONT_NEED)


def _releasing(parameters: list[Mapped]) -> Callable[..., None]:
    def release(*_: Any) -> None:
        for parameter in parameters:
            parameter.release()

    def hook(_layer: torch.nn.Module, inputs: tuple[Any, ...], _answer: Any) -> None:
        release()
        first_input = inputs[0] if inputs else None
        if isinstance(first_input, torch.Tensor) and first_input.requires_grad:
            first_input.register_hook(
                release
            )  # its gradient is there: the layer's backward pass is over

    return hook


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)


def _mapped_files(smaps: str) -> list[Span]:
    """Where safetensors files are mapped, each unchanged since (proc(5))."""
    spans = []
    heads = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) \S+ \S+ \S+ \S+ *(.*)$", re.MULTILINE)
    for head, end in _with_next(list(heads.finditer(smaps)), len(smaps)):
        changed = re.search(r"^Anonymous: *(\d+) kB$", smaps[head.end() : end], re.MULTILINE)
        if head[3].endswith(".safetensors") and changed and changed[1] == "0":
            spans.append((int(head[1], 16), int(head[2], 16)))
    return spans


def _with_next(heads: list[re.Match[str]], end: int) -> list[tuple[re.Match[str], int]]:
    ends = [*(head.start() for head in heads[1:]), end]
    return list(zip(heads, ends, strict=True))


def _in_one_of(files: list[Span], span: Span) -> bool:
    return span[0] < span[1] and any(a <= span[0] and span[1] <= b for a, b in files)
