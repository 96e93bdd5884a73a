"""How a subject is taught: ``TeachOptions``."""

from __future__ import annotations

from dataclasses import dataclass

from limner.errors import OptionError
from limner.options.base import Checked, changed, check_idle, setting


@dataclass(frozen=True)
class TeachOptions(Checked):
    """How a model is taught a subject. Names are those of diffusers' ``train_dreambooth``."""

    instance_prompt: str | None = setting(
        None, 'The subject by its identifier and class: "a photo of sks dog".'
    )
    class_prompt: str | None = setting(None, 'The class alone: "a photo of a dog".')
    with_prior_preservation: bool = setting(
        True, "Also hold on to what the class looked like, by pictures the model makes itself."
    )
    prior_loss_weight: float = setting(1.0, "How much that counts: the paper's lambda.", low=0.0)
    num_class_images: int = setting(100, "Pictures made of the class.", low=1, high=100_000)
    class_inference_steps: int | None = setting(
        None, "Denoising steps of each (default: 25).", low=1, high=1000
    )
    class_guidance_scale: float | None = setting(
        None,
        "Guidance that they are made with (default: the model's own).",
        low=0.0,
        high=100.0,
    )
    sample_batch_size: int = setting(4, "How many of them are made at once.", low=1)
    method: str = setting(
        "lora",
        "What is trained: small matrices beside the weights, or all weights.",
        choices=("lora", "full"),
    )
    rank: int = setting(4, "Rank of LoRA's matrices.", low=1, high=1024)
    train_text_encoder: bool = setting(False, "Train the text encoder as well.")
    learning_rate: float | None = setting(
        None, "Step size (default: 5e-4 for lora, 5e-6 for full).", low=1e-9, high=1.0
    )
    lr_scheduler: str = setting(
        "constant",
        "How the step size changes.",
        choices=(
            "constant",
            "constant_with_warmup",
            "linear",
            "cosine",
            "cosine_with_restarts",
            "polynomial",
        ),
    )
    lr_warmup_steps: int = setting(0, "Steps over which it rises from 0.", low=0)
    lr_num_cycles: int = setting(
        3, "How often cosine_with_restarts falls from the whole step size.", low=2, high=10_000
    )
    lr_power: float = setting(
        2.0, "Power of polynomial's curve: 1 is linear, more falls sooner.", low=0.1, high=100.0
    )
    max_train_steps: int = setting(500, "Steps of the optimizer.", low=1, high=10_000_000)
    train_batch_size: int = setting(
        1, "Photographs a step, and with them as many pictures of the class.", low=1, high=4096
    )
    gradient_accumulation_steps: int = setting(
        1, "Batches whose gradients are added up for one step.", low=1, high=4096
    )
    resolution: int | None = setting(
        None, "Side in pixels of what is looked at (default: the model's own).", low=8, high=8192
    )
    mask_background: bool = setting(
        False, "Only the subject counts in the loss, not what is behind it (needs --crop-to)."
    )
    snr_gamma: float | None = setting(
        None, "Weight times by min-SNR with this gamma; its paper takes 5.", low=0.01, high=1e6
    )
    max_grad_norm: float = setting(1.0, "Longer gradients are shortened to this.", low=0.0)
    adam_weight_decay: float = setting(1e-2, "Weight decay of AdamW.", low=0.0, high=1.0)
    use_8bit_adam: bool = setting(False, "Keep the optimizer in 8 bits (bitsandbytes).")
    gradient_checkpointing: bool = setting(False, "Compute twice to keep less in memory.")
    mixed_precision: str = setting(
        "no", "What the frozen weights and the arithmetic are in.", choices=("no", "bf16", "fp16")
    )
    checkpointing_steps: int = setting(
        100, "A checkpoint, from which a killed run goes on, every so many steps.", low=1
    )
    checkpoints_total_limit: int | None = setting(
        None, "Keep only so many checkpoints, the newest.", low=1
    )
    validation_steps: int | None = setting(
        None, "Paint with and without the identifier every so many steps.", low=1
    )
    validation_prompt: tuple[str, ...] = setting(
        (),
        "What is painted then, with the identifier and without; repeatable (default: the two "
        "prompts). Without validation_steps it is painted once, at the end.",
    )
    num_validation_images: int = setting(2, "Pictures of each of the two.", low=1, high=64)
    seed: int = setting(0, "Decides every draw, with the number of the step.", low=0, high=2**31)

    def __post_init__(self) -> None:
        prompts = self.validation_prompt
        if isinstance(prompts, str | list):
            prompts = (prompts,) if isinstance(prompts, str) else tuple(prompts)
            object.__setattr__(self, "validation_prompt", prompts)
        super().__post_init__()
        self._check_prompts()
        given = changed(self)
        of_the_prior = (
            "prior_loss_weight",
            "num_class_images",
            "class_inference_steps",
            "class_guidance_scale",
            "sample_batch_size",
        )
        for names, idle, where in (
            (("rank",), self.method == "full", "with method full, which trains all weights"),
            (
                ("lr_warmup_steps",),
                self.lr_scheduler == "constant",
                "with lr_scheduler constant: take constant_with_warmup",
            ),
            (
                ("lr_num_cycles",),
                self.lr_scheduler != "cosine_with_restarts",
                "without lr_scheduler cosine_with_restarts",
            ),
            (("lr_power",), self.lr_scheduler != "polynomial", "without lr_scheduler polynomial"),
            (
                ("num_validation_images",),
                not self.validates,
                "without validation_steps or validation_prompt",
            ),
            (of_the_prior, not self.with_prior_preservation, "without with_prior_preservation"),
        ):
            if idle:
                check_idle([name for name in names if name in given], where)
        self._check_rate()

    @property
    def validates(self) -> bool:
        """Whether pictures are painted while it learns, or at the end."""
        return self.validation_steps is not None or bool(self.validation_prompt)

    def _check_prompts(self) -> None:
        for prompt in self.validation_prompt:
            if not isinstance(prompt, str) or not prompt.strip():
                raise OptionError(
                    "validation_prompt is what is to be seen, such as 'a photo of sks dog on a "
                    f"beach'; got {prompt!r}."
                )

    def _check_rate(self) -> None:
        """Refuse a schedule that the run ends before."""
        left = self.max_train_steps - self.lr_warmup_steps
        if left < 1:
            raise OptionError(
                f"lr_warmup_steps must be fewer than max_train_steps, got {self.lr_warmup_steps} "
                f"and {self.max_train_steps}: the step size would still be rising at the end."
            )
        if self.lr_scheduler == "constant_with_warmup" and not self.lr_warmup_steps:
            raise OptionError(
                "lr_scheduler constant_with_warmup needs lr_warmup_steps: without it is constant."
            )
        if self.lr_scheduler == "cosine_with_restarts" and left < self.lr_num_cycles:
            raise OptionError(
                f"lr_num_cycles {self.lr_num_cycles} don't fit into the {left} steps after the "
                "warm-up: ask for fewer, or for more max_train_steps."
            )
