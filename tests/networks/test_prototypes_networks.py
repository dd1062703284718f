"""Prototypes are class means, and the nearest of them wins."""

import pytest

torch = pytest.importorskip("torch", reason="the extra `deep` is not installed")

from workers.networks.toys.prototypes import class_means, logits, predict, prototype_loss  # noqa: E402

pytestmark = pytest.mark.deep
SUPPORT = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 4.0]])
CLASSES = torch.tensor([0, 0, 1])
QUERY = torch.tensor([[1.0, 1.0], [0.0, 3.0]])


def test_prototypes_are_means_and_logits_squared_distances():
    means, counts = class_means(SUPPORT, CLASSES, 2)
    assert means.tolist() == [[1.0, 0.0], [0.0, 4.0]]
    assert counts.tolist() == [2.0, 1.0]
    assert logits(QUERY, means, counts).tolist() == [[-1.0, -10.0], [-10.0, -1.0]]


def test_the_loss_is_the_negative_log_probability_of_the_own_class():
    probabilities = predict(SUPPORT, CLASSES, QUERY, 2)
    torch.testing.assert_close(probabilities.sum(dim=-1), torch.ones(2))
    expected = -torch.log(probabilities[[0, 1], [0, 1]]).mean()
    torch.testing.assert_close(prototype_loss(SUPPORT, CLASSES, QUERY, torch.tensor([0, 1]), 2), expected)


def test_padding_changes_nothing():
    support = torch.cat([SUPPORT, torch.full((2, 2), 99.0)]).requires_grad_()
    classes = torch.cat([CLASSES, torch.tensor([-1, -1])])
    query = torch.cat([QUERY, torch.full((1, 2), 99.0)])
    padded = prototype_loss(support, classes, query, torch.tensor([0, 1, -1]), 5)
    torch.testing.assert_close(padded, prototype_loss(SUPPORT, CLASSES, QUERY, torch.tensor([0, 1]), 2))
    padded.backward()
    assert torch.isfinite(support.grad).all()
    assert (support.grad[3:] == 0).all()
    assert (predict(support, classes, query, 5)[:, 2:] == 0).all()


def test_several_tasks_at_once_are_each_as_alone():
    generator = torch.Generator().manual_seed(0)
    support = torch.randn(3, 6, 4, generator=generator)
    query = torch.randn(3, 5, 4, generator=generator)
    classes = torch.arange(6).remainder(2).expand(3, 6)
    together = predict(support, classes, query, 2)
    for task in range(3):
        torch.testing.assert_close(together[task], predict(support[task], classes[task], query[task], 2))
