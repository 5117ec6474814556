"""`python -m ensemble_pipe` is the command line."""

from ensemble_pipe.cli import app

app(prog_name="ensemble-pipe")
