"""Baseline: what a profile wants from control systems and nobody scans, read side by side.

    RE.preprocessors.append(SupplementalData(baseline=[*my_devices, *baseline_for("profiles/id16a")]))

The documents then hold each ``tango:`` and ``epics:`` source under a data key whose ``source`` is its address, by which
the writer finds it. What does not answer within the profile's ``read: {timeout: …}`` has the value None, with its
reason under the key :data:`~nexus_callbacks.beamline.addresses.ABSENT`; no scan waits longer or ends because of it.
"""

from __future__ import annotations

import atexit
import json
import math
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ophyd.status import Status

from devices.channels.channel import Channel, NoChannel, NoValue, Sample
from nexus_callbacks.beamline.addresses import ABSENT, control_sources, data_key, normal
from nexus_callbacks.beamline.profile import Profile, load_profile
from nexus_callbacks.beamline.sources import Source
from nexus_callbacks.faults import Fault, FaultError, Place

NAME = "control_system"
"""Name of the device in the documents."""
CLIENTS = {"tango": ("PyTango", "tango"), "epics": ("pyepics", "epics")}
"""Scheme → the program that reads it, and the extra of nexus-callbacks that installs it."""
FRESH = 1.0
"""s for which an answer is as good as a new one, where nobody has read it yet."""
LAST = 10.0
"""s that the end of a session waits for channels that hang; PyTango gives up after 9 s (three attempts of 3 s)."""
NOTICE = 1.0
"""s after which it says so."""
Open = Callable[[Source], Channel]


def baseline_for(
    profile: str | Path | Profile,
    devices: Iterable[Any] = (),
    *,
    hosts: Mapping[str, str] | None = None,
    strict: bool = True,
) -> list[ControlSystem]:
    """Devices for a SupplementalData baseline that read what the profile wants from control systems.

    Empty if it wants nothing. They are made without waiting for any control system.

    Parameters
    ----------
    profile
        The profile, its file or its folder.
    devices
        What is read already, in the baseline or by scans: an address that one of their data keys names is left out.
    hosts
        Where a Tango host is really reached, for simulated or forwarded ones:
        ``{"orion:10000": "127.0.0.1:45678#dbase=no"}``. No other host is asked then. The documents name the profile's.
        None: all are where the profile says.
    strict
        False: a client that is not installed (PyTango, pyepics) is the reason why all its values are absent.

    Raises
    ------
    FaultError
        The profile is faulty, or a client that it needs is not installed.
    """
    found = profile if isinstance(profile, Profile) else load_profile(profile)
    wanted = _wanted(found, _addresses(devices))
    openers, faults = {}, []
    for scheme in dict.fromkeys(source.scheme for source in wanted.values()):
        try:
            openers[scheme] = _opener(scheme, hosts, found.read.timeout)
        except ImportError as error:
            program, extra = CLIENTS[scheme]
            message, remedy = f"{program} is not installed", f"pip install 'nexus-callbacks[{extra}]'"
            first = next(source for source in wanted.values() if source.scheme == scheme)
            faults.append(Fault(f"{first} wants {program}, which is not installed: {error}", _place(found), remedy))
            openers[scheme] = partial(_unread, f"{message} ({remedy})")
    if strict and faults:
        raise FaultError(faults)
    if not wanted:
        return []
    channels = {key: (str(source), openers[source.scheme](source)) for key, source in wanted.items()}
    return [ControlSystem(channels, found.read.timeout)]


def _wanted(profile: Profile, known: set[str]) -> dict[str, Source]:
    """Data key → source, of every address that is not known already."""
    of_techniques = [each for name in profile.techniques for each in profile.columns(name)]
    bindings = [*profile.general(), *profile.positions(), *of_techniques]
    sources: dict[str, Source] = {}
    for binding in bindings:
        for source in control_sources(binding.source):
            address = normal(str(source))
            if address is not None and address not in known:
                sources.setdefault(address, source)
    keys: dict[str, Source] = {}
    for address in sorted(sources):
        key = name = data_key(sources[address])
        number = 1
        while key in keys:  # Two hosts may have devices of one name.
            number += 1
            key = f"{name}_{number}"
        keys[key] = sources[address]
    return keys


def _addresses(devices: Iterable[Any]) -> set[str]:
    found = (normal(str(spec.get("source") or "")) for device in devices for spec in device.describe().values())
    return {address for address in found if address is not None}


def _place(profile: Profile) -> Place:
    return Place(str(profile.path))


def _unread(reason: str, source: Source) -> Channel:
    return NoChannel(reason)


def _opener(scheme: str, hosts: Mapping[str, str] | None, timeout: float) -> Open:
    """What makes the channels of one scheme; ImportError if its client is not installed."""
    if scheme == "tango":
        from devices.channels.tango_channel import TangoChannel  # noqa: PLC0415  # An extra, and 0.3 s.

        def open_tango(source: Source) -> Channel:
            address = str(source)
            host, _, rest = address.removeprefix("tango://").partition("/")
            if hosts is None:
                return TangoChannel(address)
            if host not in hosts:
                return NoChannel(f"{host} is not simulated here")
            there, hash_, end = hosts[host].partition("#")
            return TangoChannel(f"tango://{there}/{rest.partition('#')[0]}{hash_}{end}")

        return open_tango
    from devices.channels.epics_channel import EpicsChannel  # noqa: PLC0415  # As above.

    return lambda source: EpicsChannel(source.rest, timeout)


class ControlSystem:
    """All channels of a profile as one device of bluesky's kind: a ``trigger`` asks them all, ``read`` tells.

    bluesky asks for a description before it triggers. So ``describe`` asks the channels, too, and what they answered is
    the reading of a trigger that follows at once: a channel that is dead costs its timeout once.

    Parameters
    ----------
    channels
        Data key → address and channel.
    timeout
        s for each channel from the trigger on.
    """

    parent = None

    def __init__(self, channels: Mapping[str, tuple[str, Channel]], timeout: float, name: str = NAME) -> None:
        self.name = name
        self._timeout = timeout
        self._addresses = {key: address for key, (address, _) in channels.items()}
        self._inquiries = {key: _Inquiry(channel) for key, (_, channel) in channels.items()}
        self._answers: dict[str, Sample | str] = {}
        self._asked = -math.inf
        self._told = False
        """The answers have been read."""
        self._gathering = threading.Lock()
        """An aborted run's trigger may still wait for answers when the next run asks."""
        self._known: dict[str, Sample] = {}
        """Key → a sample of the unit, dtype and shape that the last descriptor told."""

    def trigger(self) -> Status:
        """Ask all channels; finished when each has answered or its time is over."""
        status = Status(self)
        if self._fresh() and not self._told:
            status.set_finished()
        else:
            try:
                threading.Thread(target=self._ask_all, args=(status,), name=self.name, daemon=True).start()
            except RuntimeError as error:  # "can't start new thread"
                with self._gathering:
                    self._take(self._failed(error))
                status.set_finished()
        return status

    def _fresh(self) -> bool:
        return time.monotonic() - self._asked < FRESH

    def _ask_all(self, status: Status) -> None:
        try:
            self._gather()
        finally:
            status.set_finished()  # Whatever happens: a scan waits for it.

    def _gather(self) -> None:
        with self._gathering:
            try:
                self._take(self._ask())
            except Exception as error:  # The answers of before must not pass for new ones, and no scan ends of it.
                self._take(self._failed(error))

    def _ask(self) -> dict[str, Sample | str]:
        deadline = time.monotonic() + self._timeout
        for inquiry in self._inquiries.values():
            inquiry.ask()
        silent = f"no answer within {self._timeout:g} s"
        return {key: inquiry.answer(deadline) or silent for key, inquiry in self._inquiries.items()}

    def _failed(self, error: Exception) -> dict[str, Sample | str]:
        return dict.fromkeys(self._inquiries, f"{type(error).__name__}: {error}")

    def _take(self, answers: dict[str, Sample | str]) -> None:
        self._answers = answers
        self._asked, self._told = time.monotonic(), False

    def read(self) -> dict[str, dict[str, Any]]:
        """What the channels answered to the last trigger; the time of a value is its control system's."""
        if not self._answers:
            self._gather()
        self._told = True
        now = time.time()
        found: dict[str, dict[str, Any]] = {}
        absent: dict[str, str] = {}
        for key, answer in self._answers.items():
            reason = answer if isinstance(answer, str) else self._misfit(key, answer)
            if reason:
                absent[key] = f"{self._addresses[key]}: {reason}"
                found[key] = {"value": None, "timestamp": now}
            elif isinstance(answer, Sample):
                found[key] = {"value": answer.value, "timestamp": answer.timestamp}
        found[ABSENT] = {"value": json.dumps(absent, ensure_ascii=False), "timestamp": now}
        return found

    def _misfit(self, key: str, sample: Sample) -> str:
        """Why a sample cannot stand under the data key of the run's descriptor, which was told before."""
        known, now = (each.data_key("") for each in (self._known.get(key, sample), sample))
        for said, word in (("units", "unit"), ("dtype", "dtype"), ("shape", "shape")):
            if known.get(said) != now.get(said):
                return f"its {word} has changed from {known.get(said)!r} to {now.get(said)!r}"
        return ""

    def describe(self) -> dict[str, dict[str, Any]]:
        """The data keys; that of a channel which does not answer is as it was last, or without a unit."""
        if not self._fresh():
            self._gather()
        self._known.update({key: each for key, each in self._answers.items() if isinstance(each, Sample)})
        found = {}
        for key, address in self._addresses.items():
            sample = self._known.get(key)
            unknown = {"source": address, "dtype": "number", "shape": []}
            found[key] = sample.data_key(address) if sample else unknown
        found[ABSENT] = {"source": "nexus_callbacks:absent", "dtype": "string", "shape": []}
        return found

    def read_configuration(self) -> dict[str, dict[str, Any]]:
        """Nothing."""
        return {}

    def describe_configuration(self) -> dict[str, dict[str, Any]]:
        """Nothing."""
        return {}


_threads: weakref.WeakSet[threading.Thread] = weakref.WeakSet()
"""All that ask a channel, or have."""


@atexit.register
def _wait_for_threads() -> None:
    """At the end of the session: a thread that comes back from PyTango into an interpreter that has ended aborts it."""
    begun = time.monotonic()
    _join(begun + NOTICE)
    hanging = sum(thread.is_alive() for thread in list(_threads))
    if hanging:
        text = f"nexus-callbacks: waiting up to {LAST:g} s for {hanging} readings of control systems that hang"
        print(text, file=sys.stderr)  # noqa: T201  # A terminal that says nothing looks dead.
        _join(begun + LAST)


def _join(deadline: float) -> None:
    for thread in list(_threads):
        thread.join(max(deadline - time.monotonic(), 0.0))


class _Inquiry:
    """One channel and the thread in which it is asked, of which there is never more than one."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._done = threading.Event()
        self._thread: threading.Thread | None = None
        self._answer: Sample | str = ""

    def ask(self) -> None:
        """Begin to read, unless an earlier question still hangs: its answer is as good."""
        if self._thread is None or not self._thread.is_alive():
            self._done.clear()
            self._thread = threading.Thread(target=self._read, name=NAME, daemon=True)
            self._thread.start()
            _threads.add(self._thread)  # Now that it can be waited for.

    def _read(self) -> None:
        try:
            sample = self._channel.read()
            sample.data_key("")  # One that cannot be described would end a scan later.
            self._answer = sample
        except NoValue as error:
            self._answer = str(error)
        except Exception as error:  # A client may raise anything, and none of it is worth a scan.
            self._answer = f"{type(error).__name__}: {error}"
        self._done.set()

    def answer(self, deadline: float) -> Sample | str | None:
        """A sample, or why there is none; None if nothing came by the deadline (of ``time.monotonic``)."""
        return self._answer if self._done.wait(max(deadline - time.monotonic(), 0.0)) else None
