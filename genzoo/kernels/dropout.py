"""Dropout whose random numbers do not take longer than the layers around it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

WHOLE = 2**16


class Dropout(nn.Dropout):
    """`torch.nn.Dropout` (Srivastava et al. 2014). On a CPU, where torch draws one random number for each element, one
    after another, four elements share the 64 bits of one: p is then exact to 1/65,536."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  (torch's name)
        if not self.training or input.device.type != "cpu" or self.inplace or torch.compiler.is_compiling():
            return super().forward(input)
        kept = round((1 - self.p) * WHOLE)
        if kept in (0, WHOLE):
            return super().forward(input)
        numbers = torch.empty(-(-input.numel() // 4), dtype=torch.int64).random_(-(2**63), None).view(torch.int16)
        layout = torch.empty_like(input, device="meta").stride()  # the input's own, for one pass over both
        mask = numbers.as_strided(input.shape, layout) < kept - WHOLE // 2
        return input * mask.to(input.dtype).mul_(WHOLE / kept)
