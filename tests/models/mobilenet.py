"""MobileNetV2 (Sandler et al. 2018), torchvision's layout, narrowed."""

import torch
from torch import nn


class ConvNormActivation(nn.Sequential):
    def __init__(self, inp, oup, kernel_size=3, stride=1, groups=1):
        padding = (kernel_size - 1) // 2
        super().__init__(
            nn.Conv2d(inp, oup, kernel_size, stride, padding, groups=groups, bias=False),
            nn.BatchNorm2d(oup),
            nn.ReLU6(inplace=True),
        )


class InvertedResidual(nn.Module):
    def __init__(self, inp, oup, stride, expand_ratio):
        super().__init__()
        hidden = round(inp * expand_ratio)
        self.use_res_connect = stride == 1 and inp == oup
        layers = []
        if expand_ratio != 1:
            layers.append(ConvNormActivation(inp, hidden, kernel_size=1))
        layers.extend(
            [
                ConvNormActivation(hidden, hidden, stride=stride, groups=hidden),
                nn.Conv2d(hidden, oup, 1, 1, 0, bias=False),
                nn.BatchNorm2d(oup),
            ]
        )
        self.conv = nn.Sequential(*layers)

    def forward(self, x):
        if self.use_res_connect:
            return x + self.conv(x)
        return self.conv(x)


class MobileNetV2(nn.Module):
    def __init__(self, num_classes=10, plan=((1, 8, 1, 1), (6, 12, 2, 2), (6, 16, 2, 2))):
        super().__init__()
        channels = 8
        layers = [ConvNormActivation(3, channels, stride=2)]
        for expand, width, repeat, stride in plan:
            for i in range(repeat):
                layers.append(InvertedResidual(channels, width, stride if i == 0 else 1, expand))
                channels = width
        layers.append(ConvNormActivation(channels, 48, kernel_size=1))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(48, num_classes))

    def forward(self, x):
        x = self.features(x)
        x = nn.functional.adaptive_avg_pool2d(x, (1, 1)).reshape(x.shape[0], -1)
        return self.classifier(x)


def make():
    model = MobileNetV2()
    model.classifier[0].p = 0.0  # masks come from each library's own generator
    return model


def inputs(rng):
    return rng.normal(size=(3, 3, 48, 48)), rng.integers(0, 10, 3)


def loss(model, x, y):
    return -torch.log_softmax(model(x), dim=1).gather(1, y.unsqueeze(1)).mean()
