"""VGG-11 with batch normalisation (Simonyan and Zisserman 2015), narrowed, for 32 x 32 images."""

import torch
from torch import nn

PLAN = [8, "M", 16, "M", 32, 32, "M", 64, 64, "M", 64, 64, "M"]


def features(plan, channels=3):
    layers = []
    for width in plan:
        if width == "M":
            layers.append(nn.MaxPool2d(kernel_size=2, stride=2))
        else:
            layers += [
                nn.Conv2d(channels, width, kernel_size=3, padding=1),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
            ]
            channels = width
    return nn.Sequential(*layers)


class VGG(nn.Module):
    def __init__(self, classes=10):
        super().__init__()
        self.features = features(PLAN)
        self.avgpool = nn.AdaptiveAvgPool2d((2, 2))
        self.classifier = nn.Sequential(
            nn.Linear(64 * 2 * 2, 32),
            nn.ReLU(True),
            nn.Dropout(p=0.0),
            nn.Linear(32, classes),
        )
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
                if m.bias is not None:
                    nn.init.constant_(m.bias, 0)

    def forward(self, x):
        x = self.features(x)
        x = self.avgpool(x)
        x = x.view(x.size(0), -1)
        return self.classifier(x)


def make():
    return VGG()


def inputs(rng):
    return rng.normal(size=(4, 3, 32, 32)), rng.integers(0, 10, 4)


def loss(model, x, y):
    logits = model(x)
    return nn.CrossEntropyLoss()(logits, y) + 1e-3 * sum(
        torch.sum(p**2) for p in model.classifier.parameters()
    )
