"""Episodes of characters, and the two ways to tell them apart."""

import zipfile
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `deep` is not installed")

from PIL import Image, ImageDraw  # noqa: E402

from workers.networks.toys import characters, omniglot, weights  # noqa: E402
from workers.networks.training import seeded, train  # noqa: E402

pytestmark = pytest.mark.deep
N_DRAWINGS = 20


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two archives laid out as Omniglot's; the alphabet Greek is in both."""
    folder = tmp_path_factory.mktemp("omniglot")
    alphabets = ({"Greek": 2, "Korean": 3}, {"Greek": 2, "Sanskrit": 4})
    for file, of_file in zip(omniglot.FILES, alphabets, strict=True):
        with zipfile.ZipFile(folder / file, "w") as archive:
            for alphabet, n_characters in of_file.items():
                for character in range(n_characters):
                    for drawing in range(N_DRAWINGS):
                        image = Image.new("1", (105, 105), 1)
                        ImageDraw.Draw(image).line((5, 5, 20 * (character + 1), drawing + 5), 0, 4)
                        path = f"{alphabet}/character{character:02}/{character:04}_{drawing:02}.png"
                        with archive.open(f"{file.removesuffix('.zip')}/{path}", "w") as target:
                            image.save(target, "PNG")
    return folder


def test_a_character_and_its_turns_are_classes_and_what_both_archives_have_counts_once(folder):
    images = omniglot.read(folder, ("Greek", "Korean"))
    assert images.shape == (4 * (2 + 3), N_DRAWINGS, 1, 28, 28)
    upright, turned = images[0, 0, 0], images[5, 0, 0]
    assert not torch.equal(upright, turned)
    assert torch.equal(torch.rot90(upright), turned)
    assert 0 <= images.min() < images.max() <= 1
    assert images.mean() < 0.5, "ink is 1, and there is more paper"


def test_no_alphabet_is_in_two_splits():
    splits = (omniglot.TRAINING, omniglot.VALIDATION, omniglot.TEST)
    assert len(set().union(*splits)) == sum(map(len, splits)) == 8


def test_the_drawings_of_a_task_are_all_different():
    marked = torch.arange(30 * N_DRAWINGS).reshape(30, N_DRAWINGS, 1, 1, 1).to(torch.float32)
    drawn = omniglot.draw(marked, 50, 5, 16, torch.Generator().manual_seed(0))
    assert drawn.shape == (50, 5, 16, 1, 1, 1)
    numbers = drawn[..., 0, 0, 0]
    for task in numbers:
        assert len(task.unique()) == 5 * 16
        classes = (task // N_DRAWINGS).int()
        assert (classes == classes[:, :1]).all()
        assert len(classes[:, 0].unique()) == 5


def easy(n_classes):
    """Classes that anybody tells apart: each one has its own row of ink, with some noise."""
    generator = torch.Generator().manual_seed(0)
    images = 0.2 * torch.rand(n_classes, N_DRAWINGS, 1, 28, 28, generator=generator)
    for index in range(n_classes):
        images[index, :, :, index : index + 2] += 0.8
    return images


def accuracy(method, network, shots=1):
    images = easy(26).to(next(network.parameters()).device)
    generator = torch.Generator().manual_seed(1)
    return characters.accuracies(method, shots, network, images, 20, generator)


@pytest.mark.parametrize(("method", "shots"), characters.TRAINED)
def test_every_method_trains(method, shots):
    network = seeded(lambda: characters.make_network(method), 0)
    images = easy(26).to(next(network.parameters()).device)
    plan = replace(characters.plan_of(method, shots, gpu=False), steps=2)
    losses = train(network, characters.loss_of(method, shots, images, network), plan)
    assert np.isfinite(losses).all()


@pytest.mark.parametrize("method", characters.METHODS)
def test_what_ships_tells_easy_classes_apart(method):
    network = seeded(lambda: characters.make_network(method), 0)
    untrained = accuracy(method, network).mean()
    weights.load(network, weights.path_of(characters.name_of(method, 1)))
    assert accuracy(method, network).mean() > max(untrained, 0.6)


def test_query_drawings_are_judged_alone():
    """Otherwise the drawings of a task would be told of each other, and accuracies would be those of another problem."""
    network = seeded(lambda: characters.make_network("prototypes"), 0)
    images = easy(4)[:, 0].to(next(network.parameters()).device)
    torch.testing.assert_close(network(images)[:1], network(images[:1]))


def test_a_gpu_trains_longer():
    for method, shots in characters.TRAINED:
        short, long = (characters.plan_of(method, shots, gpu=gpu) for gpu in (False, True))
        assert long.steps > short.steps


def test_weights_come_back_as_half_precision_with_what_is_told_of_the_training(tmp_path):
    network = seeded(lambda: characters.make_network("prototypes"), 0)
    losses = np.linspace(2, 1, 1_000)
    weights.save(network, weights.Training.of(losses, 3.5), tmp_path / "kept.npz")
    again = seeded(lambda: characters.make_network("prototypes"), 1)
    told = weights.load(again, tmp_path / "kept.npz")
    for name, value in network.state_dict().items():
        assert torch.equal(again.state_dict()[name], value.half().float())
    assert (told.steps, told.cpu_seconds, told.gpu) == (1_000, 3.5, torch.cuda.is_available())
    assert told.losses.shape == (200,)
    np.testing.assert_allclose(told.losses.mean(), losses.mean(), rtol=1e-5)
