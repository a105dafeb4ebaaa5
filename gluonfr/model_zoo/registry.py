from gluonfr.core import GluonFRError, Registry

NETWORKS = Registry("network")


def get_model(name, **kwargs):
    """A network by its name.

    Parameters
    ----------
    name : str
        One of `get_model_list()`; case, dashes and underscores do not matter.
    classes : int, optional
        Identities of the training set; without it the network returns embeddings alone.
    embedding_size : int, optional
        The network's own default otherwise.
    weight_norm, feature_norm : bool, default False
        Normalise the classifier's weight and input; both for losses on cosines (`ArcLoss`, `CosLoss`).
    need_cls_layer : bool, default True
        False leaves the classifier out.
    **kwargs
        Passed to the network's constructor.

    Returns
    -------
    gluonfr.nn.FrBase
        Not initialised.

    Raises
    ------
    GluonFRError
        For an unknown name (the known ones are listed) or an argument that the network does not have.
    """
    maker = NETWORKS.get(name)
    try:
        return maker(**kwargs)
    except TypeError as error:
        if "unexpected keyword" not in str(error):
            raise
        raise GluonFRError(f"network {name!r}: {str(error).split(') ')[-1].split('() ')[-1]}; see help(get_model).") from error


def get_model_list():
    """Names of all networks, sorted."""
    return NETWORKS.names()
