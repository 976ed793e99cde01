"""A vision transformer (Dosovitskiy et al. 2021) on nn.TransformerEncoder."""

import torch
from torch import nn


class ViT(nn.Module):
    def __init__(self, image=16, patch=4, channels=3, dim=24, depth=2, heads=4, classes=10):
        super().__init__()
        self.patch_embed = nn.Conv2d(channels, dim, kernel_size=patch, stride=patch)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.randn(1, (image // patch) ** 2 + 1, dim) * 0.02)
        layer = nn.TransformerEncoderLayer(
            d_model=dim, nhead=heads, dim_feedforward=2 * dim, dropout=0.0, activation="gelu",
            batch_first=True, norm_first=True,
        )  # fmt: skip
        self.encoder = nn.TransformerEncoder(layer, num_layers=depth, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.head = nn.Linear(dim, classes)
        nn.init.trunc_normal_(self.cls_token, std=0.02)

    def forward(self, x):
        x = self.patch_embed(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], dim=1)
        x = self.encoder(x + self.pos_embed)
        return self.head(self.norm(x)[:, 0])


def make():
    return ViT()


def inputs(rng):
    return rng.normal(size=(3, 3, 16, 16)), rng.integers(0, 10, 3)


def loss(model, x, y):
    return nn.functional.cross_entropy(model(x), y)
