"""Every class of networks at a size that computes in a moment."""

import mxnet as mx

from gluonfr.model_zoo import get_model

# A narrow variant of every architecture; all constructors are those of the full-size networks.
SMALL = {
    "attentionfacenet56": {"channels": (8, 8, 8, 16, 16)},
    "dlib_resnet29": {},
    "ghostfacenetv1": {"width": 0.25, "stride": 2},
    "ghostfacenetv2": {"width": 0.25, "stride": 2},
    "gluon:mobilenetv2_0.25": {},
    "l_se_resnet18v2": {"channels": (8, 16, 16, 16, 32)},
    "l_se_resnet50v2": {"units": (1, 1, 1, 1), "channels": (8, 16, 16, 32, 32)},
    "lresnet10e_ir": {"channels": (8, 8, 8, 16, 16), "stem_stride": 2},
    "lseresnet10e_ir": {"channels": (16, 16, 16, 16, 16), "stem_stride": 2, "input_crop": 96, "input_size": 72},
    "mbf": {"width": 0.125, "blocks": (1, 1, 2, 1)},
    "mobilefacenet": {"width": 0.125, "blocks": (1, 1, 1, 1)},
    "mobilefacenet_re": {"use_se": True},
    "mobilefacenet_y2": {"width": 0.125, "blocks": (2, 1, 1, 1)},
    "vargfacenet": {"width": 0.25},
}


def build_small(name, initialize=True, **kwargs):
    """A small network, with the same random parameters every time."""
    net = get_model(name, **{**SMALL[name], "embedding_size": 16, **kwargs})
    if initialize:
        mx.random.seed(4)
        net.initialize(mx.init.Xavier(rnd_type="gaussian", factor_type="out", magnitude=2))
    return net
