"""LaMa's generator: a residual network of fast Fourier convolutions (Chi et al. 2020), in torch.

Channels come in two groups: local ones, seen by convolutions of 3 x 3, and global ones, seen by
convolutions of the picture's spectrum, which reach across the whole of it in one layer. Modules
have the names that the published weights have (``saicinpainting/training/modules/ffc.py``,
configuration ``big-lama``), so that these load without a table.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

Groups = tuple[Tensor, Tensor | None]
"""(N, C, H, W) of the local channels, and of the global ones where there are any."""


class Spectrum(nn.Module):
    """A convolution of 1 x 1 over the real and imaginary parts of the spectrum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_layer = nn.Conv2d(2 * channels, 2 * channels, 1, bias=False)
        self.bn = nn.BatchNorm2d(2 * channels)

    def forward(self, x: Tensor) -> Tensor:
        n, channels, height, width = x.shape
        spectrum = torch.fft.rfft2(x, norm="ortho")
        # Real and imaginary parts of one channel lie next to each other.
        parts = torch.view_as_real(spectrum).permute(0, 1, 4, 2, 3)
        parts = self.bn(self.conv_layer(parts.reshape(n, 2 * channels, height, -1))).relu()
        parts = parts.reshape(n, channels, 2, height, -1).permute(0, 1, 3, 4, 2).contiguous()
        changed = torch.view_as_complex(parts)
        back: Tensor = torch.fft.irfft2(changed, s=(height, width), norm="ortho")
        return back


class GlobalToGlobal(nn.Module):
    """From global channels to global ones: narrowed, seen as a spectrum, widened again."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.conv1 = nn.Sequential(
            nn.Conv2d(channels, half, 1, bias=False), nn.BatchNorm2d(half), nn.ReLU()
        )
        self.fu = Spectrum(half)
        self.conv2 = nn.Conv2d(half, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        narrow = self.conv1(x)
        widened: Tensor = self.conv2(narrow + self.fu(narrow))
        return widened


class FourierConvolution(nn.Module):
    """Between two groups of channels each; a way exists where both ends have channels."""

    def __init__(
        self,
        inputs: tuple[int, int],
        outputs: tuple[int, int],
        side: int,
        stride: int,
        padding: int,
    ) -> None:
        super().__init__()

        def convolution(before: int, after: int) -> nn.Conv2d | None:
            if not before or not after:
                return None
            return nn.Conv2d(
                before, after, side, stride, padding, bias=False, padding_mode="reflect"
            )

        (local_in, global_in), (local_out, global_out) = inputs, outputs
        self.convl2l = convolution(local_in, local_out)
        self.convl2g = convolution(local_in, global_out)
        self.convg2l = convolution(global_in, local_out)
        self.convg2g = GlobalToGlobal(global_in) if global_in and global_out else None

    def forward(self, x: Groups) -> Groups:
        near, far = x
        return _sum(self.convl2l, near, self.convg2l, far), (
            _sum(self.convl2g, near, self.convg2g, far) if self.convl2g else None
        )


def _sum(
    one: nn.Module | None, near: Tensor, other: nn.Module | None, far: Tensor | None
) -> Tensor:
    assert one is not None
    total: Tensor = one(near)
    return total if other is None else total + other(far)


class Layer(nn.Module):
    """A Fourier convolution, each group normalised and rectified."""

    def __init__(
        self,
        inputs: tuple[int, int],
        outputs: tuple[int, int],
        side: int,
        stride: int,
        padding: int,
    ) -> None:
        super().__init__()
        self.ffc = FourierConvolution(inputs, outputs, side, stride, padding)
        self.bn_l = nn.BatchNorm2d(outputs[0])
        self.bn_g = nn.BatchNorm2d(outputs[1]) if outputs[1] else None

    def forward(self, x: Groups) -> Groups:
        near, far = self.ffc(x)
        return self.bn_l(near).relu(), None if self.bn_g is None else self.bn_g(far).relu()


class Residual(nn.Module):
    def __init__(self, groups: tuple[int, int]) -> None:
        super().__init__()
        self.conv1, self.conv2 = (Layer(groups, groups, 3, 1, 1) for _ in range(2))

    def forward(self, x: Groups) -> Groups:
        near, far = self.conv2(self.conv1(x))
        assert x[1] is not None
        return x[0] + near, x[1] + far


class Joined(nn.Module):
    """Both groups as one."""

    def forward(self, x: Groups) -> Tensor:
        near, far = x
        return near if far is None else torch.cat([near, far], dim=1)


class Generator(nn.Module):
    """(N, 4, H, W), the picture in 0..1 with the hole black and the hole as 1, to (N, 3, H, W).

    Height and width are multiples of 8, at least 16 (one deep pixel can't be mirrored).

    Args:
        width: channels of the first layer (big-lama: 64).
        blocks: residual blocks (18).
        global_channels: of the ``8 * width`` in them (384: three quarters).
    """

    def __init__(self, width: int = 64, blocks: int = 18, global_channels: int = 384) -> None:
        super().__init__()
        deep = 8 * width
        groups = (deep - global_channels, global_channels)
        self.model = nn.Sequential(
            nn.ReflectionPad2d(3),
            First(4, width),
            Layer((width, 0), (2 * width, 0), 3, 2, 1),
            Layer((2 * width, 0), (4 * width, 0), 3, 2, 1),
            Layer((4 * width, 0), groups, 3, 2, 1),
            *(Residual(groups) for _ in range(blocks)),
            Joined(),
            *_doubled(deep),
            *_doubled(deep // 2),
            *_doubled(deep // 4),
            nn.ReflectionPad2d(3),
            nn.Conv2d(width, 3, 7),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        pixels: Tensor = self.model(x)
        return pixels


class First(Layer):
    """The first layer takes one tensor: there are no groups yet."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__((inputs, 0), (outputs, 0), 7, 1, 0)

    def forward(self, x: Tensor) -> Groups:  # type: ignore[override]  # takes no groups
        return super().forward((x, None))


def _doubled(channels: int) -> tuple[nn.Module, ...]:
    """Twice as high and wide, half as deep."""
    half = channels // 2
    grown = nn.ConvTranspose2d(channels, half, 3, stride=2, padding=1, output_padding=1)
    return grown, nn.BatchNorm2d(half), nn.ReLU()


def shape_of(weights: Mapping[str, Tensor]) -> dict[str, int]:
    """The arguments of the ``Generator`` that has these weights.

    Raises:
        KeyError: they are no generator's.
    """
    first, last_down = weights["model.1.ffc.convl2l.weight"], "model.4.ffc.convl2g.weight"
    blocks = {name.split(".")[1] for name in weights if ".conv1.ffc.convl2l." in name}
    return {
        "width": first.shape[0],
        "blocks": len(blocks),
        "global_channels": weights[last_down].shape[0],
    }
