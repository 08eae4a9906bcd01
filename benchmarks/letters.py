"""Letters from fonts that Python packages bring: a data set that no default was tuned to. Used by `defaults.py`.

    uv run --with font-amatic-sc,font-caladea,font-fredoka-one,font-hanken-grotesk,font-lato,font-manrope,font-roboto \\
        --with font-source-sans-pro,font-source-serif-pro python benchmarks/letters.py letters.npz

Capital letters, white on black, 28x28: each of every font (these, and the text fonts of matplotlib) nine times, in
three sizes, turned a little and moved a little, as a fixed seed has it. Every tenth is for test.
"""

from __future__ import annotations

import string
import sys
from importlib.metadata import distributions
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFont

SIDE, LARGE = 28, 4  # pixels a side, and how many times as large a letter is drawn
OF_MATPLOTLIB = ("DejaVuSans", "DejaVuSerif", "STIXGeneral")
TIMES = 9


def fonts() -> list[Path]:
    """Files of fonts, by name; each once."""
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    files = [
        path for path in folder.glob("*.ttf") if path.stem.startswith(OF_MATPLOTLIB) and "Display" not in path.stem
    ]
    packages = [found for found in distributions() if found.name.startswith("font-")]
    for package in packages:
        files += [
            Path(str(package.locate_file(file))) for file in package.files or () if file.suffix in (".ttf", ".otf")
        ]
    return sorted({path.name: path for path in files}.values(), key=lambda path: path.name)


def letter(text: str, font: Path, rng: np.random.Generator, size: int) -> np.ndarray:
    """A letter, uint8 (28, 28)."""
    side = SIDE * LARGE
    image = Image.new("L", (side, side))
    ImageDraw.Draw(image).text((side / 2, side / 2), text, 255, ImageFont.truetype(font, size * LARGE), anchor="mm")
    box = image.getbbox()
    assert box is not None, f"{font} has no {text}"
    image = ImageChops.offset(image, (side - box[0] - box[2]) // 2, (side - box[1] - box[3]) // 2)  # to the middle
    moved = tuple(rng.uniform(-1.5 * LARGE, 1.5 * LARGE, 2))
    image = image.rotate(rng.uniform(-10, 10), Image.Resampling.BICUBIC, translate=moved)
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX))


def main() -> None:
    rng, files = np.random.default_rng(0), fonts()
    images, labels = [], []
    for font in files:
        for number in range(TIMES):
            for text in string.ascii_uppercase:
                images.append(letter(text, font, rng, (18, 21, 24)[number % 3]))
                labels.append(text)
    order = rng.permutation(len(images))
    every, named = np.stack(images)[order], np.array(labels)[order]
    test = np.arange(len(every)) % 10 == 9
    Path(sys.argv[1]).parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        sys.argv[1], images=every[~test], labels=named[~test], test_images=every[test], test_labels=named[test]
    )
    print(f"{len(every):,} letters of {len(files)} fonts")


if __name__ == "__main__":
    main()
