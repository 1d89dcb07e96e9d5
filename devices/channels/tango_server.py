"""A Tango device server on loopback that shows signals of a simulated beamline as attributes of Tango devices.

The server is a process of its own, as real ones are, and asks the beamline's process for each value that a client
reads. It needs no database, and ends with the process that started it. Needs PyTango (``nexus-callbacks[tango]``).
"""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from importlib.util import find_spec
from types import TracebackType
from typing import Any

import numpy as np

START = 20.0
"""s within which a server must be there."""
ANSWER = 2.0
"""s within which the beamline must have told a value."""


class TangoServer:
    """The server of some signals, for a ``with`` statement; or :meth:`start` and :meth:`close`.

    Parameters
    ----------
    attributes
        Address as in a profile (``orion:10000/fe/id/16/SR_Current``) → ophyd signal. All hosts are this one server.
    """

    def __init__(self, attributes: Mapping[str, Any]) -> None:
        self._signals = {address.partition("/")[2]: signal for address, signal in attributes.items()}
        self._hosts = sorted({address.partition("/")[0] for address in attributes})
        self._process: subprocess.Popen[str] | None = None
        self._thread: threading.Thread | None = None
        self.hosts: dict[str, str] = {}
        """Each host of the addresses → where the server is, for ``baseline_for``; empty unless it runs."""

    def __enter__(self) -> TangoServer:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def start(self) -> TangoServer:
        """Start the server and wait until it answers; without attributes, or without PyTango, there is none.

        One that does not start is no error either: ``hosts`` stays empty, and ``baseline_for`` says so of each value.
        """
        if not self._signals or not find_spec("tango"):
            return self
        command = [sys.executable, "-c", "from devices.channels.tango_server import serve; serve()"]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,  # A Ctrl-C, which pauses a scan, is not for the server.
        )
        ready: queue.Queue[str] = queue.Queue()
        self._thread = threading.Thread(target=self._answer, args=(self._process, ready), daemon=True)
        self._thread.start()
        self._send(_text({name: _described(signal) for name, signal in self._signals.items()}))
        try:
            access = ready.get(timeout=START)
        except queue.Empty:
            access = ""
        if access:
            self.hosts = dict.fromkeys(self._hosts, f"{access}#dbase=no")
        else:
            self.close()
        return self

    def close(self) -> None:
        """End the server."""
        process, self._process, self.hosts = self._process, None, {}
        if process is None:
            return
        if process.stdin:
            process.stdin.close()  # The end of its input ends it.
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if self._thread is not None:
            self._thread.join(5)
        if process.stdout:
            process.stdout.close()

    def _send(self, message: str) -> None:
        process = self._process
        if process is not None and process.stdin is not None:
            try:
                process.stdin.write(message + "\n")
                process.stdin.flush()
            except (OSError, ValueError):
                return  # It has ended, or is being closed.

    def _answer(self, process: subprocess.Popen[str], ready: queue.Queue[str]) -> None:
        """Tell what the server asks for, until it ends."""
        for line in process.stdout or ():
            kind, _, rest = line.rstrip("\n").partition(" ")
            if kind == "ready":
                ready.put(rest)
            elif kind == "read":
                number, _, name = rest.partition(" ")
                self._send(self._value(int(number), name))
        ready.put("")

    def _value(self, number: int, name: str) -> str:
        """The answer to a question, which has its number."""
        try:
            signal = self._signals[name]
            return _text({"number": number, "value": signal.read()[signal.name]["value"]})
        except Exception as error:  # Whatever a device raises is what the client is to be told.
            return _text({"number": number, "error": f"{type(error).__name__}: {error}"})


def _text(message: Any) -> str:
    return json.dumps(message, default=_plain)


def _plain(value: Any) -> Any:
    """What json takes for a number or an array of numpy."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is no value of a Tango attribute")


def _described(signal: Any) -> dict[str, Any]:
    key = signal.describe()[signal.name]
    types = {"number": "float", "integer": "int", "boolean": "bool"}
    return {"type": types.get(key["dtype"], "str"), "unit": key.get("units") or "", "precision": key.get("precision")}


# -- in the server's process -------------------------------------------------------------------------------------------


class _Beamline:
    """The pipe to the beamline's process, for one question at a time.

    Question and answer have a number, by which an answer that comes too late is known, and dropped.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answers: queue.Queue[str] = queue.Queue()
        self._number = 0

    def follow(self) -> None:
        """Take the answers until the other end is closed."""
        for line in sys.stdin:
            self._answers.put(line)

    def value(self, name: str) -> Any:
        """What a signal has now."""
        with self._lock:
            self._number += 1
            _tell(f"read {self._number} {name}")
            answer = self._answer(time.monotonic() + ANSWER)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["value"]

    def _answer(self, deadline: float) -> dict[str, Any]:
        """The answer to the last question."""
        try:
            while True:
                left = max(deadline - time.monotonic(), 0.0)
                answer: dict[str, Any] = json.loads(self._answers.get(timeout=left))
                if answer["number"] == self._number:
                    return answer
        except queue.Empty:
            raise TimeoutError(f"the beamline gave no answer within {ANSWER:g} s") from None


def _tell(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def serve() -> None:
    """Serve the attributes that the first line of the standard input describes, until it ends."""
    import tango  # noqa: PLC0415  # In this process only.
    from tango.server import Device, attribute  # noqa: PLC0415
    from tango.test_context import MultiDeviceTestContext  # noqa: PLC0415

    described: dict[str, dict[str, Any]] = json.loads(sys.stdin.readline())
    beamline = _Beamline()

    class Simulated(Device):
        """A device whose attributes the beamline has."""

        def initialize_dynamic_attributes(self) -> None:
            home = self.get_name().lower()
            for name, spec in described.items():
                device, _, own = name.rpartition("/")
                if device.lower() == home:
                    made = attribute(
                        name=own,
                        dtype={"float": float, "int": int, "bool": bool, "str": str}[spec["type"]],
                        unit=spec["unit"],
                        format=f"%.{spec['precision']}f" if spec["precision"] is not None else "",
                        fget=self.read_it,
                    )
                    self.add_attribute(made)

        def read_it(self, attr: Any) -> Any:
            home = self.get_name().lower()
            wanted = f"{home}/{attr.get_name()}".lower()
            return beamline.value(next(name for name in described if name.lower() == wanted))

    # A class of its own for each device: Tango gives attributes of one name the same unit in all devices of a class.
    devices = sorted({name.rpartition("/")[0] for name in described})
    classes = [type(f"Simulated{number}", (Simulated,), {}) for number in range(len(devices))]
    info = [{"class": each, "devices": [{"name": device}]} for each, device in zip(classes, devices, strict=True)]
    with MultiDeviceTestContext(info, host="127.0.0.1", process=False) as context:
        access = context.get_device_access(devices[0])
        tango.DeviceProxy(access).ping()
        _tell("ready " + access.removeprefix("tango://").partition("/")[0])
        beamline.follow()
