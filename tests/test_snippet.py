"""gluon-face's training loop, as its users write it, on real faces."""

import mxnet as mx
import numpy as np
from mxnet import autograd as ag
from mxnet import gluon
from mxnet.gluon.data import DataLoader

from gluonfr.data import get_recognition_dataset
from gluonfr.loss import ArcLoss
from gluonfr.metrics.verification import FaceVerification
from gluonfr.model_zoo import get_model


def test_the_loop_of_gluon_face_runs_as_written(faces):
    to_tensor = gluon.data.vision.transforms.ToTensor()

    def transform_train(data, label):
        return to_tensor(data), label

    train_set = get_recognition_dataset("celeb", root=faces, transform=transform_train)
    assert train_set.num_classes == 293
    assert len(train_set) == 5967
    batch_size, ctx = 9, [mx.cpu(0), mx.cpu(1)]
    train_data = DataLoader(train_set, batch_size, shuffle=True, num_workers=2)
    net = get_model("mobilefacenet", classes=train_set.num_classes, embedding_size=128, weight_norm=True, feature_norm=True)
    net.initialize(mx.init.Xavier(), ctx=ctx)
    net.hybridize()
    loss = ArcLoss(train_set.num_classes, s=64, m=0.5)
    trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.01, "momentum": 0.9})
    metric, loss_mtc = mx.metric.Accuracy(), mx.metric.Loss()
    for _, batch in zip(range(2), train_data):
        data = gluon.utils.split_and_load(batch[0], ctx_list=ctx, batch_axis=0, even_split=False)
        labels = gluon.utils.split_and_load(batch[1], ctx_list=ctx, batch_axis=0, even_split=False)
        assert [len(part) for part in data] in ([4, 5], [5, 4])
        with ag.record():
            outputs = [net(X)[1] for X in data]
            losses = [loss(yhat, y) for yhat, y in zip(outputs, labels)]
        for part in losses:
            ag.backward(part)
        trainer.step(batch_size)
        metric.update(labels, outputs)
        loss_mtc.update(0, losses)
        cosines = np.concatenate([output.asnumpy() for output in outputs])
        assert np.abs(cosines).max() <= 1 + 1e-5
    assert np.isfinite(loss_mtc.get()[1])
    assert loss_mtc.get()[1] > 20

    val_set = get_recognition_dataset("small_lfw", root=faces, transform=lambda image: to_tensor(image))
    verification = FaceVerification(nfolds=5)
    for (image0, image1), issame in DataLoader(val_set, 5):
        embedding0, embedding1 = (mx.nd.L2Normalization(net(image.as_in_context(ctx[0]))[0]) for image in (image0, image1))
        verification.update(issame, embedding0, embedding1)
    tpr, fpr, accuracy, val, val_std, far, accuracy_std = verification.get()
    assert 0 <= accuracy <= 1
