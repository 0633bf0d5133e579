"""Convolutions over pitch: x (N, P, C) and a kernel (G, K, C), K odd, to (N, P, G); beyond the edges are zeros.

Channels lie side by side in memory, which is the order that oneDNN prefers.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from composer_recurrent.products import multiply


def convolve(x: Tensor, kernel: Tensor) -> Tensor:
    """Convolve many rows, with gradients."""
    if kernel.shape[1] == 1:
        return multiply(x, kernel[:, 0])
    return _lie(functional.conv2d(_stand(x), _stand(kernel), padding=(0, kernel.shape[1] // 2)))


def convolve_few(x: Tensor, kernel: Tensor) -> Tensor:
    """Convolve the rows of one step, as a product of what each place sees with the kernel."""
    rows, places, channels = x.shape
    reach = kernel.shape[1] // 2
    padded = functional.pad(x, (0, 0, reach, reach))
    strides = (padded.stride(0), channels, 1)  # the windows of neighbours overlap
    seen = padded.as_strided((rows, places, kernel.shape[1] * channels), strides)
    return functional.linear(seen.reshape(rows, places, -1), kernel.flatten(1))


def _stand(x: Tensor) -> Tensor:
    """View (N, P, C) as an image (N, C, 1, P)."""
    return x.permute(0, 2, 1).unsqueeze(2)


def _lie(image: Tensor) -> Tensor:
    """View an image (N, C, 1, P) as (N, P, C)."""
    return image.squeeze(2).permute(0, 2, 1)


class PitchProduct:
    """What stands for the product of states and a recurrent matrix, for `composer_recurrent.compiled`.

    States and sums have a row for each place of each sequence: (B * P, C). The matrix is the kernel (G, K, C).
    """

    def __init__(self, places: int) -> None:
        self.places = places

    def multiply(self, states: Tensor, kernel: Tensor) -> Tensor:
        """Compute sums (B * P, G) of states (B * P, C)."""
        made = convolve(self._divide(states), kernel)
        return made.reshape(-1, len(kernel)).contiguous()

    def multiply_back(self, sums: Tensor, kernel: Tensor) -> Tensor:
        """Compute the gradient (B * P, C) of states from that of their sums (B * P, G)."""
        states = sums.new_empty(len(sums), kernel.shape[2])
        made = self._run_back(sums, states, kernel, of_states=True)
        return _lie(made).reshape(len(sums), -1).contiguous()

    def sum_up(self, sums: Tensor, states: Tensor, kernel: Tensor) -> Tensor:
        """Compute the gradient of the kernel from those of sums (T, B * P, G) and the states (T, B * P, C)."""
        made = self._run_back(sums.flatten(0, 1), states.flatten(0, 1), kernel, of_states=False)
        return _lie(made).contiguous()

    def _divide(self, x: Tensor) -> Tensor:
        return x.view(-1, self.places, x.shape[-1])

    def _run_back(self, sums: Tensor, states: Tensor, kernel: Tensor, *, of_states: bool) -> Tensor:
        given = (_stand(self._divide(sums)), _stand(self._divide(states)), _stand(kernel))
        wanted = [of_states, not of_states, False]
        reach = [0, kernel.shape[1] // 2]
        made = torch.ops.aten.convolution_backward(*given, None, [1, 1], reach, [1, 1], False, [0, 0], 1, wanted)
        found: Tensor = made[0 if of_states else 1]
        return found
