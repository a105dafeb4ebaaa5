"""Figures: ROC curves, score histograms, embeddings, margins, training curves (Matplotlib, PNG), and faces on photos."""

from __future__ import annotations

from gluonfr.core.compat import prepare_mxnet

# Before any module of this room imports MXNet.
prepare_mxnet()

from gluonfr.viz.curves import plot_training_curves, read_log
from gluonfr.viz.embeddings import plot_embeddings
from gluonfr.viz.faces import draw_faces
from gluonfr.viz.histogram import plot_score_histogram
from gluonfr.viz.margins import plot_margins
from gluonfr.viz.roc import plot_roc
from gluonfr.viz.run_curves import plot_run_curves

__all__ = [
    "draw_faces",
    "plot_embeddings",
    "plot_margins",
    "plot_roc",
    "plot_run_curves",
    "plot_score_histogram",
    "plot_training_curves",
    "read_log",
]
