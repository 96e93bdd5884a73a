"""One step on equation (2): both terms, through the U-Net at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from limner.options import TeachOptions
from limner.training import losses
from limner.training.base_model import Base
from limner.training.latents import LatentDataset, TextEmbeddings
from limner.training.noise import Batch, StepPosition, draw
from limner.training.trainable import TrainableModel

if TYPE_CHECKING:
    from accelerate import Accelerator

SUBJECT, CLASS = 0, 1
"""Streams of draws, one for each term."""


def base_dtype(options: TeachOptions) -> str:
    """What the base is loaded in: weights that learn are float32."""
    names = {"no": "float32", "bf16": "bfloat16", "fp16": "float16"}
    whole = options.method == "full" or options.train_text_encoder
    return "float32" if whole else names[options.mixed_precision]


def weight_dtype(options: TeachOptions) -> torch.dtype:
    """The same as torch's own value."""
    dtype: torch.dtype = getattr(torch, base_dtype(options))
    return dtype


@dataclass(frozen=True, eq=False)
class Stepper:
    """One step of the optimizer on equation (2)."""

    base: Base
    parts: Mapping[str, Any]
    embeddings: TextEmbeddings
    of_subject: LatentDataset
    of_class: LatentDataset | None
    options: TeachOptions
    accelerator: Accelerator

    def __call__(
        self, number: int, optimizer: Any, trainable: TrainableModel
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Both terms, averaged over the step's batches."""
        options, accelerator = self.options, self.accelerator
        instances: list[torch.Tensor] = []
        priors: list[torch.Tensor] = []
        for micro in range(options.gradient_accumulation_steps):
            position = StepPosition(
                options.seed,
                number,
                micro,
                accelerator.process_index,
                accelerator.num_processes,
                options.gradient_accumulation_steps,
            )
            with accelerator.accumulate(*self.parts.values()):
                instance, prior = self._terms(position)
                total = instance
                if prior is not None:
                    total = losses.with_prior(instance, prior, options.prior_loss_weight)
                    priors.append(prior.detach())
                instances.append(instance.detach())
                accelerator.backward(total)
                if accelerator.sync_gradients:
                    accelerator.clip_grad_norm_(trainable.parameters, options.max_grad_norm)
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
        return torch.stack(instances).mean(), torch.stack(priors).mean() if priors else None

    def _terms(self, position: StepPosition) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Both terms of one batch: the subject and its class go through the U-Net at once."""
        size, device = self.options.train_batch_size, self.accelerator.device
        times = int(self.base.pipe.scheduler.config.num_train_timesteps)
        batches = [draw(self.of_subject, size, times, position, SUBJECT)]
        if self.of_class is not None:
            batches.append(draw(self.of_class, size, times, position, CLASS))
        x, eps = (torch.cat([getattr(b, n) for b in batches]).to(device) for n in ("x", "eps"))
        t = torch.cat([batch.t for batch in batches])
        squared = self.base.pipe.scheduler.alphas_cumprod[t].to(device).float()
        alpha, sigma = squared.sqrt(), (1 - squared).sqrt()
        z = losses.noised(x, eps, alpha, sigma)
        answer = self._answer(z, t.to(device), batches)
        target = losses.target(self.base.prediction, x, eps, alpha, sigma)
        weight = torch.ones_like(alpha)
        if self.options.snr_gamma is not None:
            snr = squared / (1 - squared)
            weight = losses.min_snr_weight(self.base.prediction, snr, self.options.snr_gamma)
        terms = []
        for number, batch in enumerate(batches):
            part = slice(number * size, (number + 1) * size)
            coverage = None if batch.coverage is None else batch.coverage.to(device)
            terms.append(losses.reconstruction(answer[part], target[part], weight[part], coverage))
        return terms[0], terms[1] if len(terms) == 2 else None

    def _answer(self, z: torch.Tensor, t: torch.Tensor, batches: list[Batch]) -> torch.Tensor:
        unet, device = self.parts["unet"], self.accelerator.device
        rows = torch.cat([batch.rows for batch in batches])
        dtype = weight_dtype(self.options)
        if "text_encoder" in self.parts:
            states = self.parts["text_encoder"](self.embeddings.tokens[rows].to(device))[0]
        else:
            states = self.embeddings.states[rows].to(device)
        if batches[0].beside is not None:
            beside = torch.cat([b.beside for b in batches if b.beside is not None])
            z = torch.cat([z, beside.to(device)], dim=1)
        more = {}
        if self.embeddings.pooled is not None:
            more["added_cond_kwargs"] = {
                "text_embeds": self.embeddings.pooled[rows].to(device, dtype),
                "time_ids": _sizes(z, self.base.grid).to(device, dtype),
            }
        answer: torch.Tensor = unet(
            z.to(dtype), t, encoder_hidden_states=states.to(dtype), **more
        ).sample
        return answer


def _sizes(z: torch.Tensor, grid: int) -> torch.Tensor:
    """SDXL's original size, top left corner and target size, of whole squares: (B, 6)."""
    height, width = z.shape[-2] * grid, z.shape[-1] * grid
    return torch.tensor([[height, width, 0, 0, height, width]]).repeat(len(z), 1)
