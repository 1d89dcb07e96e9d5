"""Runs: the commands that bring runs into files: ``replay``, ``recover`` and ``writer``."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from nexus_callbacks.callback import NexusWriter
from nexus_callbacks.cli.terminal import BAD, WRONG_USE, AsJson, console_for, refuse, short
from nexus_callbacks.faults import Fault, FaultError
from nexus_callbacks.journal.recovery import recover
from nexus_callbacks.journal.service import Service
from nexus_callbacks.journal.spool import Spool
from nexus_callbacks.replay import documents_of, feed, unfinished


def replay_documents(
    recordings: Annotated[
        list[Path],
        typer.Argument(
            help="Recorded documents: JSON lines, JSON or MessagePack.", metavar="DOCS", exists=True, dir_okay=False
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Where the files go.")] = Path(),
    profile: Annotated[Path | None, typer.Option(help="A beamline's profile.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write the files of recorded runs, as if they were measured now. Existing files are left alone."""
    console = console_for(as_json)
    try:
        writer = NexusWriter(output, profile, journal=False)  # The documents are safe already.
    except FaultError as error:
        refuse(error)
    faults: list[Fault] = []
    with writer:
        for recording in recordings:
            try:
                faults += feed(writer, documents_of(recording))
            except FaultError as error:
                faults += error.faults
    reasons = {uid: reason for uid, path in writer.files.items() if (reason := unfinished(path))}
    for uid, path in writer.files.items():
        state = Text(f"incomplete: {reasons[uid]}", "red") if uid in reasons else Text("complete", "green")
        console.print(Text.assemble(f"{uid}  {short(path)}  ", state), soft_wrap=True)
    for fault in faults:
        console.print(str(fault), style="red", markup=False, soft_wrap=True)
    if not writer.files:
        console.print("There is no start document that could be used: nothing was written.", style="red")
    if as_json:
        result = {
            "files": {uid: str(path) for uid, path in writer.files.items()},
            "masters": {uid: str(path) for uid, path in writer.masters.items()},
            "incomplete": reasons,
            "faults": [str(fault) for fault in faults],
        }
        print(json.dumps(result))
    if faults or reasons or not writer.files:
        raise typer.Exit(BAD)


def recover_files(
    spool: Annotated[Path | None, typer.Argument(help="Folder of the journals; without it the default one.")] = None,
    as_json: AsJson = False,
) -> None:
    """Complete the files of sessions that died, from their journals.

    What a living session still writes is left alone.
    """
    console = console_for(as_json)
    if spool is not None and not spool.is_dir():
        console.print(f"there is no folder {spool}", style="red", markup=False, soft_wrap=True)
        raise typer.Exit(WRONG_USE)
    troubles: list[str] = []
    found = recover(spool, troubles.append)
    for each in found:
        what = "complete" if each.complete else "all that its session emitted before it died"
        console.print(f"recovered  {short(each.path)}: {what}", markup=False, soft_wrap=True)
    if not found:
        console.print("there is nothing to recover")
    for trouble in troubles:
        console.print(trouble, style="red", markup=False, soft_wrap=True)
    if as_json:
        files = [{"uid": each.uid, "file": str(each.path), "complete": each.complete} for each in found]
        print(json.dumps({"recovered": files, "troubles": troubles}))
    if troubles:
        raise typer.Exit(BAD)


def follow_spool(
    spool: Annotated[Path | None, typer.Argument(help="Folder of the journals; without it the default one.")] = None,
    once: Annotated[bool, typer.Option("--once", help="End when nothing is left to be written.")] = False,
) -> None:
    """Bring the journals of sessions made with NexusWriter(journal=…, follow=False) into their files, as they grow.

    Several may run: one waits until another dies. SIGTERM and Ctrl-C end it when the runs that have stopped are in
    their files.
    """
    console = console_for(False)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    def say(message: str) -> None:
        console.print(message, markup=False, soft_wrap=True)

    place = Spool(spool)
    say(f"waiting for journals in {place.folder}")
    Service(place, lambda message: console.print(message, style="red", markup=False, soft_wrap=True), say).run(
        stop, once
    )
