"""Omniglot (Lake, Salakhutdinov & Tenenbaum 2015): characters of many alphabets, each drawn once by twenty people.

The papers train on 1,200 characters and test on the other 423, without regard to alphabets. Here are only the two *small* background
sets, with 242 characters of eight alphabets, so the split is by whole alphabets, the harder and more honest one: training on
the five of set 1 (136 characters), validation and test on those of set 2 that set 1 lacks (17 and 89). As in the papers images
have 28 x 28 points, and a character turned by 90, 180 or 270 degrees is another class, in training and in test.
"""

import io
import zipfile
from collections.abc import Collection
from itertools import groupby
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from workers.networks.training import device

TRAINING = ("Balinese", "Early_Aramaic", "Greek", "Korean", "Latin")
VALIDATION = ("Tagalog",)
TEST = ("Japanese_(katakana)", "Sanskrit")
FILES = ("images_background_small1.zip", "images_background_small2.zip")
SIDE = 28
_TURNS = 4


def read(folder: Path, alphabets: Collection[str]) -> Tensor:
    """All classes of these alphabets on the device, shape (classes, drawings, 1, SIDE, SIDE), 0 is paper and 1 ink.

    Args:
        folder: where the two archives are, as they were published.
        alphabets: by the names of their folders in the archives.
    """
    contents: dict[str, bytes] = {}  # by path below the archive's own folder: what both have counts once
    for file in FILES:
        with zipfile.ZipFile(folder / file) as archive:
            for name in archive.namelist():
                _, _, path = name.partition("/")
                if path.endswith(".png") and path.split("/")[0] in alphabets:
                    contents[path] = archive.read(name)
    characters = groupby(sorted(contents), key=lambda path: path.rpartition("/")[0])
    images = [[_image(contents[path]) for path in paths] for _, paths in characters]
    upright = torch.from_numpy(np.array(images))[:, :, None].to(device())
    return torch.cat([torch.rot90(upright, turns, (-2, -1)) for turns in range(_TURNS)])


def draw(images: Tensor, n_tasks: int, ways: int, rows: int, generator: torch.Generator) -> Tensor:
    """Tasks with so many classes and different drawings of each, shape (tasks, ways, rows, 1, SIDE, SIDE).

    Args:
        images: as of `read`.
        n_tasks: how many tasks.
        ways: classes of a task, in random order.
        rows: drawings of a class.
        generator: on the CPU.
    """
    n_classes, n_drawings = images.shape[:2]
    classes = torch.rand(n_tasks, n_classes, generator=generator).argsort(dim=1)[:, :ways]
    drawings = torch.rand(n_tasks, ways, n_drawings, generator=generator).argsort(dim=2)[:, :, :rows]
    return images[classes[:, :, None].to(images.device), drawings.to(images.device)]


def _image(content: bytes) -> npt.NDArray[np.float32]:
    with Image.open(io.BytesIO(content)) as image:
        small = image.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
    ink: npt.NDArray[np.float32] = np.float32(1) - np.asarray(small, dtype=np.float32) / np.float32(255)
    return ink
