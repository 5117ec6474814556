"""The program that sends one run to MLflow; `single_run.SingleRunSender` starts it."""

import json
import os
import sys
import time
from dataclasses import asdict
from typing import Any

from ensemble_pipe.tracking import names
from ensemble_pipe.tracking.refusals import problem_of
from ensemble_pipe.tracking.single_run import Sent, SingleRun
from ensemble_pipe.tracking.store import open_store, quiet_mlflow, require_address


def send(uri: str, experiment: str, run: SingleRun) -> Sent:
    """Send a run; an error is returned."""
    try:
        client, experiment_id = open_store(require_address(uri), experiment)
        return Sent(_send(client, experiment_id, run))
    except Exception as error:
        # No failure of a tracking server may end a check; its parent reports it.
        return Sent(problem=problem_of(error, uri))


def _send(client: Any, experiment_id: str, run: SingleRun) -> str:
    from mlflow.entities import Metric, Param, RunTag

    tags = {"mlflow.source.name": "ensemble-pipe"}
    made = client.create_run(experiment_id, run.began_ms, tags=tags, run_name=run.name)
    run_id: str = made.info.run_id
    # What is stopped from here on is not RUNNING for ever.
    client.set_terminated(run_id, status="KILLED")
    now_ms = int(time.time() * 1000)
    metrics = [Metric(names.key(name), value, now_ms, 0) for name, value in run.metrics.items()]
    params = [Param(names.key(name), names.value(value)) for name, value in run.params.items()]
    own = [RunTag(names.key(k), names.value(v, names.MOST_TAG)) for k, v in run.tags.items()]
    client.log_batch(run_id, metrics, params, own)
    for file, table in run.tables.items():
        client.log_table(run_id, table, file)
    for file, text in run.texts.items():
        client.log_text(run_id, text, file)
    client.set_terminated(run_id, status="FINISHED")
    return run_id


def _main() -> None:
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what MLflow prints is no answer
    quiet_mlflow()
    import mlflow  # noqa: F401  # while the parent works

    message = sys.stdin.buffer.read()
    if message:
        values = json.loads(message)
        sent = send(values["uri"], values["experiment"], SingleRun(**values["run"]))
        answers.write(json.dumps(asdict(sent)).encode())
        answers.flush()
    os._exit(0)  # all is sent; Python's own end takes seconds with MLflow


if __name__ == "__main__":
    _main()
