"""Device, number format and threads."""

from __future__ import annotations

import importlib
import os
import platform
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from limner.errors import OptionError
from limner.registry.weights import Runtime

DTYPES: Mapping[str, str] = {
    "float32": "float32",
    "fp32": "float32",
    "bfloat16": "bfloat16",
    "bf16": "bfloat16",
    "float16": "float16",
    "fp16": "float16",
    "half": "float16",
}
"""Every accepted name of a number format -> torch's."""


def check_names(device: str | None, dtype: str | None) -> None:
    """Refuse what can't be a device or a number format anywhere, without importing torch.

    Raises:
        OptionError: no such name.
    """
    if device is not None and not re.fullmatch(r"cpu|mps|cuda(:\d+)?", device):
        raise OptionError(f"device is cpu, cuda, cuda:1 or mps; got {device!r}.")
    if dtype is not None and dtype not in DTYPES:
        raise OptionError(f"dtype is one of {', '.join(DTYPES)}; got {dtype!r}.")


def choose(device: str | None = None, dtype: str | None = None) -> Runtime:
    """The device and number format to compute with.

    Args:
        device: "cpu", "cuda", "cuda:1", "mps"; None: the first GPU, else the CPU.
        dtype: a name in ``DTYPES``; None: the quickest that is safe there. bfloat16 where the
            hardware multiplies it (SAM's encoder 1.6 times as fast as in float32 on a Zen 4 CPU,
            outputs within 1.1 %), float16 on older CUDA, else float32.

    Raises:
        OptionError: no such device here, or no such format.
    """
    names = devices()
    if device is None:
        device = next((name for name in names if name != "cpu"), "cpu")
    elif device == "cuda" and "cuda:0" in names:
        device = "cuda:0"
    if device not in names:
        raise OptionError(f"There is no device {device!r} here; there is {', '.join(names)}.")
    if dtype is None:
        return Runtime(device, _quickest(device))
    if dtype not in DTYPES:
        raise OptionError(f"dtype is one of {', '.join(DTYPES)}; got {dtype!r}.")
    return Runtime(device, DTYPES[dtype])


def devices() -> tuple[str, ...]:
    """Names of the devices on this machine, best first; "cpu" is the last."""
    import torch

    cuda = torch.cuda.device_count() if torch.cuda.is_available() else 0
    gpus = [f"cuda:{index}" for index in range(cuda)]
    if torch.backends.mps.is_available():
        gpus.append("mps")
    return (*gpus, "cpu")


def described() -> list[dict[str, Any]]:
    """Each device: ``name``, ``what`` it is, ``memory_bytes``, ``dtype`` that it is quickest in."""
    import torch

    devices_here = []
    for name in devices():
        what, memory = platform.processor() or platform.machine(), memory_limit()
        if name.startswith("cuda"):
            properties = torch.cuda.get_device_properties(name)
            what, memory = properties.name, properties.total_memory
        elif name == "cpu":
            what = f"{what}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"
        devices_here.append(
            {"name": name, "what": what, "memory_bytes": memory, "dtype": _quickest(name)}
        )
    return devices_here


def _quickest(device: str) -> str:
    import torch

    if device.startswith("cuda"):
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"
    if device == "cpu" and _cpu_multiplies_bfloat16():
        return "bfloat16"
    return "float32"


def _cpu_multiplies_bfloat16() -> bool:
    import torch

    # Without these, torch emulates bfloat16, more slowly than it computes float32.
    able = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))


SPINS = "1000"
"""A few microseconds."""


def let_threads_sleep() -> bool:
    """Let torch's threads (GNU OpenMP, Linux) sleep soon when they wait for each other.

    By default they spin for milliseconds, and so hold the cores that those they wait for need. On
    two cores of which other work takes one, 40 layers of 64 x 64 took 308 ms instead of 0.8, and
    an edit by the minis 10 s instead of 0.3; with a short spin 4 ms, and 0.8 as before where
    nothing else runs. Without any spin (``OMP_WAIT_POLICY=passive``) 1.8 ms, but 7 there.

    Returns:
        Whether it was done: only before torch is loaded, and when no variable says otherwise.
    """
    if "torch" in sys.modules or any(
        name in os.environ for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
    ):
        return False
    os.environ["GOMP_SPINCOUNT"] = SPINS
    return True


_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4  # malloc.h


def tune_allocator() -> bool:
    """Let glibc keep freed memory instead of returning it after each layer.

    By default every large tensor is mapped anew, and zeroed page by page, each time it is made. Six
    64-channel convolutions at 384 x 384 took 1.7 to 2 times as long that way (1.7 M page faults
    against 20 k), SAM's encoder 1.1 to 1.3 times. Resident memory stays higher in exchange. For a
    process about to load a heavy model; never done on import.

    Returns:
        Whether it was done: only with glibc, and when no ``MALLOC_*_`` variable says otherwise.
    """
    if platform.libc_ver()[0] != "glibc" or any(
        name in os.environ
        for name in ("MALLOC_MMAP_MAX_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_")
    ):
        return False
    import ctypes

    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, -1), (_M_TOP_PAD, 256 * 2**20))
    return all(mallopt(parameter, value) == 1 for parameter, value in settings)


def memory_limit() -> int:
    """Bytes of memory this process may use: the machine's, or its container's if that is less."""
    try:
        limit = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError):  # Windows
        limit = importlib.import_module("psutil").virtual_memory().total
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            limit = min(limit, int(Path(path).read_text()))
        except (OSError, ValueError):  # no such controller, or "max"
            continue
    return limit
