from __future__ import annotations

import json
import os
import re
from typing import Any, Mapping

import numpy as np

from gluonfr.core import DataError, UsageError, display_path
from gluonfr.engine.loop.options import RunOptions
from gluonfr.engine.tracking.observer import TrainingObserver, ValidationResult

_EXPERIMENT = "gluonfr"
# MLflow refuses longer values.
_LONGEST = 500
_STATES = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}
_ID = "mlflow_run"


class MLflowObserver(TrainingObserver):
    """Records a run with MLflow: options as parameters, figures as metrics, results and figures as artifacts.

    A run that resumes continues its MLflow run, whose id is in `RUN/mlflow_run`.

    Parameters
    ----------
    uri : str
        Tracking URI: `http://HOST:PORT` of a server, or `file:FOLDER`.
    folder : str
        The run folder.

    Raises
    ------
    UsageError
        mlflow is not installed, or the server does not answer.

    Examples
    --------
    >>> from gluonfr.engine import train
    >>> train(dataset="emore", mlflow="http://localhost:5000")  # doctest: +SKIP
    """

    def __init__(self, uri: str, folder: str) -> None:
        try:
            from mlflow.exceptions import MlflowException
            from mlflow.tracking import MlflowClient
        except ImportError as error:
            raise UsageError(
                f"mlflow={uri} needs the package mlflow; install the extra: pip install 'gluonfr[mlflow]'."
            ) from error
        self._error, self._folder, self._uri = MlflowException, folder, uri
        # A server that does not answer fails at once, not after minutes of retries.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        if uri.startswith("file:"):
            # Newer clients write files only when they are asked to.
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        self._client: Any = MlflowClient(tracking_uri=uri)
        self._run = ""

    def started(self, options: RunOptions, first_step: int, total_steps: int) -> None:
        """Create the MLflow run, or continue that of a run that resumes."""
        marker = os.path.join(self._folder, _ID)
        try:
            if first_step and os.path.exists(marker):
                with open(marker, encoding="utf-8", errors="replace") as file:
                    self._run = file.read(1000).strip()
                if not re.fullmatch("[0-9a-zA-Z_-]{1,256}", self._run):
                    raise DataError(f"{display_path(marker)} does not contain the id of an MLflow run; remove it.")
                self._client.update_run(self._run, "RUNNING")
                return
            found = self._client.get_experiment_by_name(_EXPERIMENT)
            experiment = found.experiment_id if found else self._client.create_experiment(_EXPERIMENT)
            name = os.path.basename(options.out.rstrip(os.sep))
            self._run = self._client.create_run(experiment, run_name=name).info.run_id
            for key, value in options.to_dict().items():
                text = value if isinstance(value, str) else json.dumps(value)
                self._client.log_param(self._run, key, text[:_LONGEST])
        except self._error as error:
            raise UsageError(f"mlflow={self._uri} cannot be used ({error}); check the address.") from error
        with open(marker, "w", encoding="utf-8") as file:
            file.write(self._run)

    def logged(self, step: int, values: Mapping[str, float]) -> None:
        """Record the values as metrics."""
        for name, value in values.items():
            # Names in MLflow have no '@' and '='.
            self._client.log_metric(self._run, name.replace("@", "_at_").replace("=", "_"), float(value), step=step)

    def validated(self, step: int, results: Mapping[str, ValidationResult], norms: np.ndarray) -> None:
        """Record the figures of all sets, and the mean norm of embeddings."""
        named = {f"{name}/{key}": value for name, result in results.items() for key, value in result.name_values()}
        if len(norms):
            named["embedding_norm"] = float(np.mean(norms))
        self.logged(step, named)

    def ended(self, state: str, reason: str, pictures: Mapping[str, str]) -> None:
        """Store the figures and the files that describe the run, and end the MLflow run."""
        if not self._run:
            return
        names = ("options.json", "provenance.json", "results.json", "log.jsonl")
        for path in [*(os.path.join(self._folder, name) for name in names), *pictures.values()]:
            if os.path.exists(path):
                self._client.log_artifact(self._run, path)
        if reason:
            self._client.set_tag(self._run, "reason", reason)
        self._client.set_terminated(self._run, _STATES[state])
