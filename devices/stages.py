"""Stages: motors that know their units, limits and speed."""

from __future__ import annotations

import threading
import time
from typing import Any

from ophyd import Component as Cpt
from ophyd import Device, Kind
from ophyd.status import Status

from devices.quantity import Derived, Quantity


class SimulatedMotor(Device):
    """One axis. Its readback has the device's own name, as bluesky's users expect.

    Parameters
    ----------
    units
        Of position and limits; the velocity is in units per second.
    limits
        Lowest and highest position.
    velocity
        Units per second.
    acceleration
        Time to reach the velocity, s.
    in_real_time
        False: a move is over at once. True: it takes distance / velocity, and can be stopped on the way.
    """

    readback = Cpt(Derived, compute=lambda motor: motor.position, kind=Kind.hinted)
    setpoint = Cpt(Quantity, value=0.0, kind=Kind.omitted)
    velocity = Cpt(Quantity, value=1.0, precision=4, kind=Kind.config)
    acceleration = Cpt(Quantity, value=0.1, units="s", precision=3, kind=Kind.config)

    def __init__(
        self,
        *args: Any,
        units: str,
        limits: tuple[float, float],
        position: float = 0.0,
        precision: int = 4,
        velocity: float = 1.0,
        acceleration: float = 0.1,
        in_real_time: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        for signal in (self.readback, self.setpoint):
            signal.units, signal.precision, signal.range = units, precision, limits
        self.velocity.units = f"{units}/s"
        self.velocity.put(velocity)
        self.acceleration.put(acceleration)
        self.readback.name = self.name
        self.setpoint.put(position)
        self._in_real_time = in_real_time
        self._start = self._goal = float(position)
        self._departure = self._arrival = time.monotonic()
        self._moving: tuple[Status, threading.Timer] | None = None
        self._lock = threading.RLock()

    @property
    def position(self) -> float:
        """Where the axis is now, in its units."""
        now = time.monotonic()
        if now >= self._arrival:
            return self._goal
        way = (now - self._departure) / (self._arrival - self._departure)
        return self._start + way * (self._goal - self._start)

    @property
    def egu(self) -> str:
        """Units of the position."""
        return self.readback.units

    @property
    def limits(self) -> tuple[float, float]:
        """Lowest and highest position."""
        return self.readback.limits

    def check_value(self, value: float, **kwargs: Any) -> None:
        """Raise ophyd's LimitError where `value` is out of the limits."""
        self.readback.check_value(value)

    def set(self, value: float, **kwargs: Any) -> Status:
        """Go to `value`; the status finishes on arrival, or fails if the axis is stopped before."""
        status = Status(self)
        try:
            self.check_value(value)
        except ValueError as error:
            status.set_exception(error)
            return status
        with self._lock:
            self.stop(success=False)
            self.setpoint.put(float(value))
            self._start, self._goal = self.position, float(value)
            seconds = abs(self._goal - self._start) / self.velocity.get() if self._in_real_time else 0.0
            self._departure = time.monotonic()
            self._arrival = self._departure + seconds
            if seconds:
                timer = threading.Timer(seconds, self._arrived, args=(status,))
                timer.daemon = True
                self._moving = (status, timer)
                timer.start()
        if not seconds:
            status.set_finished()
        return status

    def _arrived(self, status: Status) -> None:
        with self._lock:
            if self._moving is None or self._moving[0] is not status:
                return
            self._moving = None
        status.set_finished()

    def stop(self, *, success: bool = False) -> None:
        """Stop where the axis is; a move that is under way fails unless `success`."""
        with self._lock:
            if self._moving is None:
                return
            status, timer = self._moving
            self._moving = None
            timer.cancel()
            self._start = self._goal = self.position
            self._arrival = self._departure
        if success:
            status.set_finished()
        else:
            status.set_exception(RuntimeError(f"{self.name} was stopped at {self.position:g} {self.egu}"))
