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
    "centerface": Cost(memory_gb=0.8, prompt=1.0),
    "yunet": Cost(memory_gb=0.3, prompt=0.1, measured=False),
    "opencv-inpaint": Cost(memory_gb=0.3, image=2.0),
    "grabcut-middle": Cost(memory_gb=0.3, image=0.5, measured=False),
    # BiRefNet: what others report of one picture on a CPU, in float32; never measured here.
    "birefnet-lite": Cost(memory_gb=2.4, image=6, measured=False),
    "birefnet": Cost(memory_gb=5.0, image=16, measured=False),
    "sam-vit-base": Cost(memory_gb=1.5, image=6.1, prompt=0.05),
    "sam-vit-large": Cost(memory_gb=2.5, image=19, prompt=0.05, measured=False),
    "sam-vit-huge": Cost(memory_gb=4.0, image=38, prompt=0.05, measured=False),
    "slimsam-50": Cost(memory_gb=1.0, image=1.7, prompt=0.05, measured=False),
    "slimsam-77": Cost(memory_gb=0.8, image=0.6, prompt=0.05, measured=False),
    "fastsam-s": Cost(memory_gb=0.7, image=0.9, prompt=0.02, measured=False),
    "fastsam-x": Cost(memory_gb=1.5, image=6.5, prompt=0.02, measured=False),
    "sam2-hiera-tiny": Cost(memory_gb=1.0, image=1.5, prompt=0.05, measured=False),
    "sam2-hiera-small": Cost(memory_gb=1.0, image=1.8, prompt=0.05, measured=False),
    "sam2-hiera-base-plus": Cost(memory_gb=1.3, image=3.5, prompt=0.05, measured=False),
    "sam2-hiera-large": Cost(memory_gb=2.0, image=9, prompt=0.05, measured=False),
    "edgetam": Cost(memory_gb=1.0, image=0.8, prompt=0.05, measured=False),
    "sam-hq-vit-base": Cost(memory_gb=1.5, image=6.1, prompt=0.1, measured=False),
    "sam-hq-vit-large": Cost(memory_gb=2.5, image=19, prompt=0.1, measured=False),
    "sam-hq-vit-huge": Cost(memory_gb=4.0, image=38, prompt=0.1, measured=False),
    "sam3-tracker": Cost(memory_gb=4.5, image=45, prompt=0.05, measured=False),
    "sam3": Cost(memory_gb=6.0, image=45, prompt=4, measured=False),
    "owlvit-base-patch32": Cost(memory_gb=0.8, image=0.5, prompt=0.01),
    "owlvit-base-patch16": Cost(memory_gb=0.9, image=2.5, prompt=0.01, measured=False),
    "owlvit-large-patch14": Cost(memory_gb=2.0, image=14, prompt=0.02, measured=False),
    "owlv2-base-patch16-ensemble": Cost(memory_gb=1.0, image=6.1, prompt=0.01),
    "owlv2-large-patch14-ensemble": Cost(memory_gb=2.5, image=30, prompt=0.02, measured=False),
    # Encoder and decoder see words and image together: nearly all is done for each phrase. CPU
    # seconds in float32, halved for two cores, as the machine was busy.
    "grounding-dino-tiny": Cost(memory_gb=2.7, image=4.6, prompt=15.6),
    "grounding-dino-base": Cost(memory_gb=3.2, image=16, prompt=15.6, measured=False),
    "mm-grounding-dino-tiny": Cost(memory_gb=2.7, image=4.6, prompt=15.6, measured=False),
    "mm-grounding-dino-base": Cost(memory_gb=3.2, image=16, prompt=15.6, measured=False),
    "mm-grounding-dino-large": Cost(memory_gb=5.0, image=35, prompt=60, measured=False),
    "llmdet-tiny": Cost(memory_gb=2.7, image=4.6, prompt=15.6, measured=False),
    "llmdet-base": Cost(memory_gb=3.2, image=16, prompt=15.6, measured=False),
    "llmdet-large": Cost(memory_gb=5.0, image=35, prompt=60, measured=False),
    "florence-2-base": Cost(memory_gb=1.5, image=3.0, prompt=2.0, measured=False),
    "florence-2-base-ft": Cost(memory_gb=1.5, image=3.0, prompt=2.0, measured=False),
    "florence-2-large": Cost(memory_gb=3.0, image=10, prompt=6.0, measured=False),
    "florence-2-large-ft": Cost(memory_gb=3.0, image=10, prompt=6.0, measured=False),
    "qwen25-vl-7b": Cost(memory_gb=18, image=218, prompt=25, measured=False),
    "qwen25-vl-3b": Cost(memory_gb=8.5, image=118, prompt=11, measured=False),
    "qwen3-vl-2b": Cost(memory_gb=5.0, image=72, prompt=8, measured=False),
    "qwen3-vl-4b": Cost(memory_gb=10, image=121, prompt=13, measured=False),
    "qwen3-vl-8b": Cost(memory_gb=19, image=220, prompt=26, measured=False),
    "sd15-inpaint": Cost(memory_gb=3.0, image=11.7, step=6.3, measured=False),
    "sd2-inpaint": Cost(memory_gb=3.0, image=11.7, step=6.3),
    "sdxl-inpaint": Cost(memory_gb=8.0, image=47, step=52),
    "flux-fill": Cost(memory_gb=37, image=47, step=210, measured=False),
    "flux-schnell": Cost(memory_gb=37, image=47, step=210, measured=False),
    "qwen-image": Cost(memory_gb=62, image=60, step=720, measured=False),
    "z-image-turbo": Cost(memory_gb=23, image=47, step=110, measured=False),
    "sd35-medium": Cost(memory_gb=18, image=47, step=90, measured=False),
    "sd15": Cost(memory_gb=3.0, image=11.7, step=6.3, measured=False),
    "sd2-base": Cost(memory_gb=3.0, image=11.7, step=6.3, measured=False),
    "sdxl": Cost(memory_gb=8.0, image=47, step=52, measured=False),
    "lama": Cost(memory_gb=0.8, image=5.0, measured=False),
    "sdxl-refiner": Cost(memory_gb=7.0, measured=False),
    "lcm-lora-sd15": Cost(memory_gb=0.1, measured=False),
    "lcm-lora-sdxl": Cost(memory_gb=0.3, measured=False),
    "clip-vit-base-patch32": Cost(memory_gb=0.8, image=0.1, prompt=0.05, measured=False),
    "clip-vit-large-patch14": Cost(memory_gb=2.0, image=1.6, prompt=0.1, measured=False),
    "dinov2-small": Cost(memory_gb=0.3, image=0.1, measured=False),
    "dino-vits16": Cost(memory_gb=0.3, image=0.1, measured=False),
    "blip-base": Cost(memory_gb=1.1, image=1.5, prompt=0.7, measured=False),
    "blip-large": Cost(memory_gb=2.0, image=4.5, prompt=0.7, measured=False),
    "blip2-opt": Cost(memory_gb=9.0, image=20, prompt=12, measured=False),
    "blip2-flan-t5-xl": Cost(memory_gb=9.0, image=20, prompt=12, measured=False),
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
