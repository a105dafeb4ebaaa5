"""Pictures: ROC curves, score histograms, embeddings and training curves, as Matplotlib figures and PNG files."""

from gluonfr.viz.curves import plot_training_curves, read_log
from gluonfr.viz.embeddings import plot_embeddings
from gluonfr.viz.histogram import plot_score_histogram
from gluonfr.viz.roc import plot_roc

__all__ = ["plot_embeddings", "plot_roc", "plot_score_histogram", "plot_training_curves", "read_log"]
