"""Networks in PyTorch for comparisons of speed, with random weights."""

from torch import nn


def _conv(i, o, k=1, s=1, p=0, g=1, act=True):
    layers = [nn.Conv2d(i, o, k, s, p, groups=g, bias=False), nn.BatchNorm2d(o, eps=1e-3)]
    return layers + ([nn.PReLU(o)] if act else [])


class _Bottleneck(nn.Module):
    def __init__(self, i, middle, o, stride=1, residual=False):
        super().__init__()
        layers = _conv(i, middle) + _conv(middle, middle, 3, stride, 1, middle) + _conv(middle, o, act=False)
        self.body, self.residual = nn.Sequential(*layers), residual

    def forward(self, x):
        return x + self.body(x) if self.residual else self.body(x)


def mobilefacenet(embedding_size):
    """MobileFaceNet with the architecture of y1."""
    layers = _conv(3, 64, 3, 2, 1) + _conv(64, 64, 3, 1, 1, 64)
    for i, middle, o, count, inner in ((64, 128, 64, 4, 128), (64, 256, 128, 6, 256), (128, 512, 128, 2, 256)):
        layers += [_Bottleneck(i, middle, o, 2)] + [_Bottleneck(o, inner, o, residual=True) for _ in range(count)]
    layers += _conv(128, 512) + _conv(512, 512, 7, g=512, act=False)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(512, embedding_size), nn.BatchNorm1d(embedding_size, eps=2e-5))


class _IR(nn.Module):
    def __init__(self, i, o, stride):
        super().__init__()
        self.body = nn.Sequential(
            nn.BatchNorm2d(i),
            nn.Conv2d(i, o, 3, 1, 1, bias=False),
            nn.BatchNorm2d(o),
            nn.PReLU(o),
            nn.Conv2d(o, o, 3, stride, 1, bias=False),
            nn.BatchNorm2d(o),
        )
        self.shortcut = None
        if stride > 1 or i != o:
            self.shortcut = nn.Sequential(nn.Conv2d(i, o, 1, stride, bias=False), nn.BatchNorm2d(o))

    def forward(self, x):
        return self.body(x) + (x if self.shortcut is None else self.shortcut(x))


def lresnet50e_ir(embedding_size):
    """LResNet50E-IR of the ArcFace paper."""
    channels = (64, 64, 128, 256, 512)
    layers = [nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.PReLU(64)]
    for i, o, count in zip(channels, channels[1:], (3, 4, 14, 3)):
        layers += [_IR(i, o, 2)] + [_IR(o, o, 1) for _ in range(count - 1)]
    head = [nn.BatchNorm2d(512), nn.Dropout(0.4), nn.Flatten(), nn.Linear(512 * 49, embedding_size)]
    return nn.Sequential(*layers, *head, nn.BatchNorm1d(embedding_size))
