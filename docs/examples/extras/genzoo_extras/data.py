"""A data set that is fetched: torchvision does it, checks what came, and finds it the next time."""

import torch

from genzoo import ImageData


def load_usps(data_dir):
    from torchvision.datasets import USPS

    train, test = (USPS(data_dir / "USPS", train=part, download=True) for part in (True, False))
    return ImageData(
        train_images=torch.from_numpy(train.data[:, None]),  # (N, 1, 16, 16), uint8
        train_labels=torch.tensor(train.targets),
        test_images=torch.from_numpy(test.data[:, None]),
        test_labels=torch.tensor(test.targets),
        classes=tuple("0123456789"),
    )
