"""A GRU encoder and decoder with additive attention (Bahdanau et al. 2015), teacher forcing."""

import torch
import torch.nn.functional as F
from torch import nn


class Encoder(nn.Module):
    def __init__(self, vocabulary, hidden):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, hidden)
        self.gru = nn.GRU(hidden, hidden, num_layers=2, batch_first=True)

    def forward(self, x):
        return self.gru(self.embedding(x))


class Attention(nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.Wa = nn.Linear(hidden, hidden)
        self.Ua = nn.Linear(hidden, hidden)
        self.Va = nn.Linear(hidden, 1)

    def forward(self, query, keys):
        scores = self.Va(torch.tanh(self.Wa(query) + self.Ua(keys)))
        scores = scores.squeeze(2).unsqueeze(1)
        weights = F.softmax(scores, dim=-1)
        return torch.bmm(weights, keys), weights


class Decoder(nn.Module):
    def __init__(self, vocabulary, hidden):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, hidden)
        self.attention = Attention(hidden)
        self.cell = nn.GRUCell(2 * hidden, hidden)
        self.out = nn.Linear(hidden, vocabulary)

    def forward(self, keys, state, targets):
        outputs = []
        token = torch.zeros(targets.size(0), dtype=torch.long, device=targets.device)
        for t in range(targets.size(1)):
            context, _ = self.attention(state.unsqueeze(1), keys)
            step = torch.cat((self.embedding(token), context.squeeze(1)), dim=1)
            state = self.cell(step, state)
            outputs.append(self.out(state))
            token = targets[:, t]
        return torch.stack(outputs, dim=1)


class Seq2Seq(nn.Module):
    def __init__(self, source=30, target=20, hidden=10):
        super().__init__()
        self.encoder = Encoder(source, hidden)
        self.decoder = Decoder(target, hidden)

    def forward(self, source, target):
        keys, state = self.encoder(source)
        return self.decoder(keys, state[-1], target)


def make():
    return Seq2Seq()


def inputs(rng):
    return rng.integers(0, 30, (4, 8)), rng.integers(0, 20, (4, 6))


def loss(model, source, target):
    logits = model(source, target)
    return F.cross_entropy(logits.transpose(1, 2), target)
