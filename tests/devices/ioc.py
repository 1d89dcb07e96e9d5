"""An EPICS server on loopback for the tests, by caproto, run as a module; its port is the one of the environment."""

from caproto import AlarmSeverity, AlarmStatus, ChannelType
from caproto.server import PVGroup, pvproperty, run


class Ring(PVGroup):
    """Some process variables of a storage ring."""

    current = pvproperty(value=0.1985, units="A", precision=4, name="CURR")
    mode = pvproperty(value="hybrid", dtype=ChannelType.ENUM, enum_strings=["uniform", "hybrid"], name="MODE")
    message = pvproperty(value="beam for users until 8:00", dtype=ChannelType.CHAR, max_length=100, name="MESSAGE")
    orbit = pvproperty(value=[1.5, -2.5, 3.5], units="um", name="ORBIT")
    lifetime = pvproperty(value=40.0, units="h", name="LIFETIME")
    unit = pvproperty(value="h", dtype=ChannelType.STRING, name="LIFETIME_UNIT")
    undefined = pvproperty(value=0.0, name="UNDEFINED", alarm_group="undefined")

    @unit.putter
    async def unit(self, instance, value):
        """As when the server is started again with another unit."""
        await self.lifetime.write_metadata(units=value)

    @undefined.startup
    async def undefined(self, instance, async_lib):
        """A record that was never processed."""
        await instance.alarm.write(severity=AlarmSeverity.INVALID_ALARM, status=AlarmStatus.UDF)


if __name__ == "__main__":
    run(Ring(prefix="SR:").pvdb, interfaces=["127.0.0.1"])
