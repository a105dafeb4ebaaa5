from __future__ import annotations

from importlib import import_module

from gluonfr.core import DEFAULT_MODELS, GluonFRError, Registry

NETWORKS = Registry("network")
# By name: `gluonfr.weights` is built on the networks, so this module cannot import it.
_PRETRAINED_LOADER = ("gluonfr.weights.load", "load_weights")


def get_model(name, pretrained=None, ctx=None, root=DEFAULT_MODELS, **kwargs):
    """A network by its name.

    Parameters
    ----------
    name : str
        One of `get_model_list()`; case, dashes and underscores do not matter. Or an image network as backbone:
        "gluon:NAME" from MXNet's own zoo, "gluoncv:NAME" from gluoncv's, as `gluonfr.model_zoo.adapter` says.
    pretrained : str or bool, optional
        Weights: the name of a stored model (True: the one called `name`), or the path of a saved network's folder, of
        `.params`, of an InsightFace checkpoint's `-symbol.json` or of a PyTorch `.pt`, as `load_weights` says. A classifier
        is left as it is.
    ctx : Context or list of Context, optional
        Where pretrained weights are put; default CPU.
    root : str, default '~/.mxnet/models/face'
        Where stored models are kept.
    classes : int, optional
        Identities of the training set; without it the network returns embeddings alone.
    embedding_size : int, optional
        The network's own default otherwise.
    weight_norm, feature_norm : bool, default False
        Normalize the classifier's weight and input; both for losses on cosines (`ArcLoss`, `CosLoss`).
    need_cls_layer : bool, default True
        False leaves the classifier out.
    **kwargs
        Passed to the network's constructor.

    Returns
    -------
    gluonfr.nn.FrBase
        Not initialized, unless `pretrained`; then only a classifier is left to initialize.

    Raises
    ------
    GluonFRError
        For an unknown name (the known ones are listed), an argument that the network does not have, or weights that are not
        the network's (the first layer that differs is named).
    """
    net = _make(name, kwargs)
    if pretrained:
        module, function = _PRETRAINED_LOADER
        load_weights = getattr(import_module(module), function)
        load_weights(net, name if pretrained is True else pretrained, ctx=ctx, root=root)
    return net


def _make(name, kwargs):
    if isinstance(name, str) and ":" in name:
        from gluonfr.model_zoo.adapter import from_zoo

        return from_zoo(*name.split(":", 1), **kwargs)
    maker = NETWORKS.get(name)
    try:
        return maker(**kwargs)
    except TypeError as error:
        if "unexpected keyword" not in str(error):
            raise
        raise GluonFRError(f"network {name!r}: {str(error).split(') ')[-1].split('() ')[-1]}; see help(get_model).") from error


def list_models() -> list[str]:
    """Return the names of all architectures, sorted.

    Examples
    --------
    >>> "mobilefacenet" in list_models()
    True
    """
    return NETWORKS.names()


def get_model_list() -> list[str]:
    """Return the names of all architectures, sorted; gluon-face's name of `list_models`.

    Examples
    --------
    >>> get_model_list() == list_models()
    True
    """
    return list_models()
