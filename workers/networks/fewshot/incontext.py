"""A small prior-data fitted network (Müller et al. 2022; TabPFN, Hollmann et al. 2023): a transformer whose input is the table.

Each row is a token, and every token attends to those of the labelled rows; so nothing is fitted when a new table comes, and
no query sees another. The last attention is the answer, as in matching networks (Vinyals et al. 2016): a class's probability is
the mean weight that its rows have in it. So classes with more rows in the support are not more likely for that.
"""

import torch
from torch import Tensor, nn

from workers.networks.fewshot.standardising import MOST_FEATURES, one_hot, padded, standardised
from workers.networks.fewshot.tasks import MOST_CLASSES, Tasks

WIDTH, HEADS, LAYERS = 96, 4, 4
FLOOR = 1e-3  # of the probability is shared by all classes alike: no answer is infinitely wrong


class InContext(nn.Module):
    """Log-probabilities of queries, by attention to the support."""

    def __init__(self) -> None:
        super().__init__()
        self.row = nn.Sequential(nn.Linear(MOST_FEATURES, 2 * WIDTH), nn.ReLU(), nn.Linear(2 * WIDTH, WIDTH))
        self.label = nn.Linear(MOST_CLASSES, WIDTH)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        self.norm = nn.LayerNorm(WIDTH)
        self.asked = nn.Linear(WIDTH, WIDTH, bias=False)
        self.known = nn.Linear(WIDTH, WIDTH, bias=False)
        # Alike at first, so that learning begins with the nearest rows being believed.
        nn.init.orthogonal_(self.asked.weight)
        self.known.load_state_dict(self.asked.state_dict())

    def forward(self, tasks: Tasks) -> Tensor:
        """Shape (tasks, queries, classes)."""
        tasks, _ = standardised(tasks)
        count = tasks.support.shape[1]
        members = one_hot(tasks.labels, MOST_CLASSES)
        tokens = self.row(padded(torch.cat([tasks.support, tasks.queries], dim=1)))
        tokens = torch.cat([tokens[:, :count] + self.label(members), tokens[:, count:]], dim=1)
        for layer in self.layers:
            tokens = layer(tokens, count)
        tokens = self.norm(tokens)
        scores = heads(self.asked(tokens[:, count:])) @ heads(self.known(tokens[:, :count])).transpose(2, 3)
        scores = scores / (WIDTH / HEADS) ** 0.5
        weights = torch.exp(scores - scores.amax(dim=3, keepdim=True))
        members = members[:, :, : tasks.n_classes]
        of_classes = weights @ (members / members.sum(dim=1, keepdim=True))[:, None]
        shares = (of_classes / of_classes.sum(dim=3, keepdim=True)).mean(dim=1)
        return torch.log((1 - FLOOR) * shares + FLOOR / tasks.n_classes)


class Layer(nn.Module):
    """Attention of all tokens to the first `count`, then a network for each token, both added to what was there."""

    def __init__(self) -> None:
        super().__init__()
        self.before = nn.LayerNorm(WIDTH)
        self.query, self.key, self.value, self.out = (nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(4))
        self.between = nn.LayerNorm(WIDTH)
        self.wide = nn.Linear(WIDTH, 2 * WIDTH)
        self.narrow = nn.Linear(2 * WIDTH, WIDTH)

    def forward(self, tokens: Tensor, count: int) -> Tensor:
        """Shape (tasks, tokens, width)."""
        seen = self.before(tokens)
        known = seen[:, :count]
        found = nn.functional.scaled_dot_product_attention(
            heads(self.query(seen)), heads(self.key(known)), heads(self.value(known))
        )
        tokens = tokens + self.out(found.transpose(1, 2).flatten(2))
        return tokens + self.narrow(torch.relu(self.wide(self.between(tokens))))


def heads(tokens: Tensor) -> Tensor:
    """Shape (tasks, heads, tokens, width of a head)."""
    return tokens.unflatten(2, (HEADS, -1)).transpose(1, 2)
