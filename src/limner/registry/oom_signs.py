"""What libraries say when memory runs out."""

from __future__ import annotations

SIGNS = (
    "out of memory",  # CUDA and MPS
    "not enough memory",  # torch's CPU allocator on Windows
    "can't allocate memory",  # the same elsewhere
    "alloc_failed",  # cuBLAS and cuDNN
)
"""What a plain ``RuntimeError`` of torch says when an allocation failed, in lower case."""


DEVICE_SIGNS = ("cuda", "cublas", "cudnn", "hip", "mps")
