"""Routing: documents of several runs at once find their own."""

from nexus_callbacks.routing import Router


def test_documents_of_interleaved_runs_find_their_own():
    router = Router()
    router.open("a")
    router.open("b")
    assert router.owner("descriptor", {"uid": "da", "run_start": "a"}) == "a"
    assert router.owner("descriptor", {"uid": "db", "run_start": "b"}) == "b"
    assert router.owner("stream_resource", {"uid": "sb", "run_start": "b"}) == "b"
    assert router.owner("event", {"descriptor": "db"}) == "b"
    assert router.owner("event_page", {"descriptor": "da"}) == "a"
    assert router.owner("stream_datum", {"descriptor": "db", "stream_resource": "sb"}) == "b"
    assert router.owner("stop", {"uid": "x", "run_start": "a"}) == "a"


def test_a_legacy_resource_without_a_run_belongs_to_the_only_one():
    router = Router()
    router.open("a")
    assert router.owner("resource", {"uid": "r"}) == "a"
    assert router.owner("datum", {"resource": "r", "datum_id": "r/0"}) == "a"
    router.open("b")
    assert router.owner("resource", {"uid": "q"}) is None


def test_a_run_that_ended_or_never_began_owns_nothing():
    router = Router()
    router.open("a")
    router.owner("descriptor", {"uid": "da", "run_start": "a"})
    router.close("a")
    assert router.runs == ()
    assert router.owner("event", {"descriptor": "da"}) is None
    assert router.owner("stop", {"run_start": "never"}) is None
    assert router.owner("event", {}) is None
    router.close("never")
