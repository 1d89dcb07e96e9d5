"""A thread that comes back as long as there is something to do, and does not keep its object alive."""

import gc
import threading
import time

from nexus_callbacks.pulse import Pulse


class Heart:
    def __init__(self, beats):
        self.left = beats
        self.beaten = threading.Event()
        self.pulse = Pulse(self.beat, "heart")

    def beat(self):
        self.left -= 1
        if self.left > 0:
            return 0.001
        self.beaten.set()
        return None


def gone():
    end = time.monotonic() + 20
    while time.monotonic() < end:
        gc.collect()
        if not [thread for thread in threading.enumerate() if thread.name == "heart"]:
            return True
        time.sleep(0.01)
    return False


def test_it_ends_when_there_is_nothing_to_do_and_begins_again():
    heart = Heart(3)
    for _ in range(100):
        heart.left = 3
        heart.beaten.clear()
        heart.pulse.start(0.0)
        assert heart.beaten.wait(20), "a start while the thread is about to end is not lost"
    assert gone()


def test_it_goes_with_its_object():
    heart = Heart(10**9)
    heart.pulse.start(0.0)
    del heart
    assert gone()


def test_it_can_be_stopped():
    heart = Heart(10**9)
    heart.pulse.start(0.0)
    heart.pulse.stop()
    assert gone()
    assert heart.left > 0
