"""What the face scripts share: transforms, and the validation that unpacks seven values."""

import mxnet as mx
import sklearn.preprocessing
from mxnet import gluon
from mxnet.gluon.data.vision import transforms

from gluonfr.metrics.verification import FaceVerification

CONTEXTS = [mx.cpu(0), mx.cpu(1)]

to_tensor = transforms.Compose([transforms.ToTensor()])
_augment = transforms.Compose(
    [transforms.RandomBrightness(0.3), transforms.RandomContrast(0.3), transforms.RandomFlipLeftRight(), transforms.ToTensor()]
)


def augment(image, label):
    return _augment(image), label


def validate(net, contexts, loader, nfolds=10):
    """Return gluon-face's seven values."""
    metric = FaceVerification(nfolds)
    for (first, second), issame in loader:
        firsts, seconds, sames = (
            gluon.utils.split_and_load(array, contexts, even_split=False) for array in (first, second, issame)
        )
        for x, y, same in zip(firsts, seconds, sames):
            embeddings = [sklearn.preprocessing.normalize(net(images)[0].asnumpy()) for images in (x, y)]
            metric.update(same, *embeddings)
    tpr, fpr, accuracy, val, val_std, far, accuracy_std = metric.get()
    return tpr, fpr, accuracy, val, val_std, far, accuracy_std
