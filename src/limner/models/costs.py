"""What an answer costs: the numbers behind ``--dry-run``.

Seconds are those of two AMD Zen 4 cores with bf16 weights (November 2026, random weights at real
size); they are scaled by how fast this machine multiplies matrices. Where only a sibling was
measured, its numbers are scaled by the number of multiplications and marked as estimates.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

REFERENCE_GFLOPS = 144.0
"""What the machine of the table reaches in float32 matrix products, in 10⁹ operations a second."""


@dataclass(frozen=True)
class Cost:
    """Of one model. Seconds for the parts that exist, 0 for the others."""

    memory_gb: float
    """Peak, weights included."""
    image: float = 0.0
    """Seconds once an image: an encoder; for a painter the autoencoder both ways."""
    prompt: float = 0.0
    """Seconds a prompt, or a phrase."""
    step: float = 0.0
    """Seconds a denoising step, with classifier-free guidance."""
    measured: bool = True

    def seconds(self, prompts: int = 1, steps: int = 0) -> float:
        """One image's seconds on the machine of the table."""
        return self.image + self.prompt * prompts + self.step * steps


COSTS: dict[str, Cost] = {
    "grabcut": Cost(memory_gb=0.3, prompt=0.5),
    "haar": Cost(memory_gb=0.2, prompt=0.5),
    "opencv-inpaint": Cost(memory_gb=0.3, image=2.0),
    "sam-vit-base": Cost(memory_gb=1.5, image=6.1, prompt=0.05),
    "sam-vit-large": Cost(memory_gb=2.5, image=19, prompt=0.05, measured=False),
    "sam-vit-huge": Cost(memory_gb=4.0, image=38, prompt=0.05, measured=False),
    "slimsam-50": Cost(memory_gb=1.0, image=1.7, prompt=0.05, measured=False),
    "slimsam-77": Cost(memory_gb=0.8, image=0.6, prompt=0.05, measured=False),
    "owlvit-base-patch32": Cost(memory_gb=0.8, image=0.5, prompt=0.01),
    "owlvit-base-patch16": Cost(memory_gb=0.9, image=2.5, prompt=0.01, measured=False),
    "owlvit-large-patch14": Cost(memory_gb=2.0, image=14, prompt=0.02, measured=False),
    "owlv2-base-patch16-ensemble": Cost(memory_gb=1.0, image=6.1, prompt=0.01),
    "owlv2-large-patch14-ensemble": Cost(memory_gb=2.5, image=30, prompt=0.02, measured=False),
    "qwen25-vl-7b": Cost(memory_gb=18, image=218, prompt=25, measured=False),
    "qwen25-vl-3b": Cost(memory_gb=8.5, image=118, prompt=11, measured=False),
    "qwen3-vl-2b": Cost(memory_gb=5.0, image=72, prompt=8, measured=False),
    "qwen3-vl-4b": Cost(memory_gb=10, image=121, prompt=13, measured=False),
    "qwen3-vl-8b": Cost(memory_gb=19, image=220, prompt=26, measured=False),
    "sd15-inpaint": Cost(memory_gb=3.0, image=11.7, step=6.3, measured=False),
    "sd2-inpaint": Cost(memory_gb=3.0, image=11.7, step=6.3),
    "sdxl-inpaint": Cost(memory_gb=8.0, image=47, step=52),
    "clip-vit-base-patch32": Cost(memory_gb=0.8, image=0.1, prompt=0.05, measured=False),
    "clip-vit-large-patch14": Cost(memory_gb=2.0, image=1.6, prompt=0.1, measured=False),
    "dinov2-small": Cost(memory_gb=0.3, image=0.1, measured=False),
    "dino-vits16": Cost(memory_gb=0.3, image=0.1, measured=False),
    "blip-base": Cost(memory_gb=1.1, image=1.5, prompt=0.7, measured=False),
    "blip-large": Cost(memory_gb=2.0, image=4.5, prompt=0.7, measured=False),
    "mini-sam": Cost(memory_gb=0.1, image=0.05, prompt=0.02, measured=False),
    "mini-owlvit": Cost(memory_gb=0.1, image=0.02, prompt=0.01, measured=False),
    "mini-sd-inpaint": Cost(memory_gb=0.2, image=0.1, step=0.05, measured=False),
    "mini-sd": Cost(memory_gb=0.2, image=0.1, step=0.05, measured=False),
    "mini-clip": Cost(memory_gb=0.1, image=0.01, prompt=0.01, measured=False),
    "mini-dino": Cost(memory_gb=0.1, image=0.01, measured=False),
    "mini-blip": Cost(memory_gb=0.1, image=0.02, prompt=0.1, measured=False),
}
"""Every model of the catalog; a test holds the two together."""


def machine_speed() -> float:
    """How fast this machine is beside the table's: 2.0 is twice as fast. Takes about 0.1 s."""
    import numpy as np

    side = 1024
    a = np.random.default_rng(0).standard_normal((side, side), dtype=np.float32)
    a @ a  # the first product also starts the threads
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        a @ a
        best = min(best, time.perf_counter() - start)
    return 2 * side**3 / best / 1e9 / REFERENCE_GFLOPS
