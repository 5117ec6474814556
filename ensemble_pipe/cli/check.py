"""The command `check`: a pipeline looked at before a long training."""

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from ensemble_pipe.cli.overrides import overrides_of
from ensemble_pipe.cli.support import AsJson, errors
from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.core.terminal import say, show


def check(
    pipeline: Annotated[Path, typer.Argument(metavar="PIPELINE.yaml", help="What to check.")],
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=VALUE", help="Override one key.")
    ] = None,
    time_limit: Annotated[
        str, typer.Option(metavar="DURATION", help="End within about this time, such as 90s or 5m.")
    ] = "2m",
    refine: Annotated[
        bool,
        typer.Option("--refine", help="Try what is suggested, until it is sound or time is up."),
    ] = False,
    output: Annotated[Path | None, typer.Option(help="HTML file for the result.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check data, network and training of a pipeline by the recipe of CS231n, in minutes."""
    with errors():
        from ensemble_pipe.config.reading import load_pipeline
        from ensemble_pipe.core.compilation import report_compilation
        from ensemble_pipe.core.durations import parse_duration
        from ensemble_pipe.core.output_files import require_output
        from ensemble_pipe.core.storage import atomic_write
        from ensemble_pipe.search.check import check as look
        from ensemble_pipe.search.checks.result_page import result_page
        from ensemble_pipe.search.checks.text import result_json, result_text
        from ensemble_pipe.search.checks.tracked import tracked

        try:
            limit_s = parse_duration(time_limit)
        except ValueError as error:
            raise ConfigError(f"--time-limit: {error}") from None
        if output is not None:
            require_output(output, (".html",), "checks")
        config = load_pipeline(pipeline, overrides_of(set_))[0]
        began_ms = int(time.time() * 1000)
        with tracked(config.tracking) as send:
            with report_compilation(say):
                result = look(config, limit_s, lambda text: say(f"checking: {text}"), refine=refine)
            if output is not None:
                atomic_write(output, result_page(result, config.name))
                say(f"the page is {output}; open it in a browser")
            (say if as_json else show)(result_text(result))
            run_id, line = send(result, config, began_ms)
        if line:
            say(line)
        if as_json:
            show(json.dumps({**result_json(result), "mlflow_run_id": run_id}))
