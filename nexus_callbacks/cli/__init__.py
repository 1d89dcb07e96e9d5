"""Cli: the command ``nexus-callbacks``.

- ``demo``: the command that runs an experiment on a simulated beamline
- ``runs``: ``replay``, ``recover``, ``writer``
- ``files``: ``validate``, ``coverage``, ``relink``
- ``definitions``: ``definitions list`` and its like
- ``differences``: ``definitions diff``
- ``terminal``: what they share

Exit status: 0 good, 1 the thing looked at is bad, 2 wrong use (a faulty profile, a directory that cannot be
written). With ``--json`` one JSON object goes to stdout and all else to stderr.
"""

from __future__ import annotations

import typer

from nexus_callbacks.cli import definitions
from nexus_callbacks.cli.demo import demo
from nexus_callbacks.cli.differences import diff_definitions
from nexus_callbacks.cli.files import coverage_of, relink_files, validate_files
from nexus_callbacks.cli.runs import follow_spool, recover_files, replay_documents

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Bluesky documents to NeXus files: look at them, check them, and try it all on a simulated beamline.",
)
app.command("demo")(demo)
app.command("validate")(validate_files)
app.command("recover")(recover_files)
app.command("writer")(follow_spool)
app.command("relink")(relink_files)
app.command("coverage")(coverage_of)
app.command("replay")(replay_documents)
definitions.app.command("diff")(diff_definitions)
app.add_typer(definitions.app, name="definitions")


def main() -> None:
    """Entry point of the console script."""
    app()
