"""A part-of-speech tagger: embedding, two bidirectional LSTM layers, linear, masked loss."""

import torch
import torch.nn.functional as F
from torch import nn


class Tagger(nn.Module):
    def __init__(self, vocabulary=50, tags=7, embedding_dim=12, hidden_dim=9):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, embedding_dim, padding_idx=0)
        self.lstm = nn.LSTM(
            embedding_dim, hidden_dim, num_layers=2, batch_first=True, bidirectional=True
        )
        self.dropout = nn.Dropout(0.0)
        self.hidden2tag = nn.Linear(2 * hidden_dim, tags)

    def forward(self, sentences):
        embedded = self.embedding(sentences)
        outputs, (hidden, cell) = self.lstm(embedded)
        scores = self.hidden2tag(self.dropout(outputs))
        return F.log_softmax(scores, dim=2), hidden, cell


def make():
    return Tagger()


def inputs(rng):
    sentences = rng.integers(1, 50, (5, 11))
    sentences[2, 7:] = 0
    tags = rng.integers(0, 7, (5, 11))
    tags[2, 7:] = -1
    return sentences, tags


def loss(model, sentences, tags):
    scores, hidden, cell = model(sentences)
    likelihood = F.nll_loss(scores.reshape(-1, scores.size(-1)), tags.view(-1), ignore_index=-1)
    return likelihood + 0.01 * (hidden.pow(2).mean() + torch.abs(cell).mean())
