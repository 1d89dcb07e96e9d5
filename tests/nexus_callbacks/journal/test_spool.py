"""A journal belongs to the session that lives, and to one recoverer when it does not."""

import errno
import gc
import os
import signal
import stat
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from nexus_callbacks.journal import spool as spool_module
from nexus_callbacks.journal.journal import JournalClosed, JournalFull, Reader
from nexus_callbacks.journal.spool import Spool, default_folder, is_local
from tests.forks import in_a_fork

HEADER = {"run": "a"}


@pytest.fixture
def spool(tmp_path):
    return Spool(tmp_path / "spool", fallbacks=[tmp_path / "second", tmp_path / "third"])


def other_process(code, *arguments):
    """Another Python that runs the code and talks by lines; its spools are those of the fixture."""
    begin = f"""
        import os, sys, time
        from pathlib import Path
        from nexus_callbacks.journal.spool import Spool
        base = Path({str(Path(arguments[0]).parent)!r})
        spool = Spool(base / "spool", fallbacks=[base / "second", base / "third"])
        def say(what):  # in one write, as a forked child may say something, too
            os.write(1, f"{{what}}\\n".encode())
    """
    program = textwrap.dedent(begin) + textwrap.dedent(code)
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def end(process):
    process.kill()
    process.communicate()


def orphaned(spool, uid="a", events=1):
    """A session folder with a journal that nobody holds."""
    session = spool.session()
    journal = session.journal(uid, HEADER)
    for i in range(events):
        journal.append("event", {"seq_num": i})
    journal.close()
    session.close()
    return journal.path.parent


# -- one session ---------------------------------------------------------------------------------------------------


def test_a_session_has_a_folder_of_its_own_for_its_user_alone(spool):
    with spool.session() as session:
        journal = session.journal("0f-uid", HEADER)
        (folder,) = session.folders
        assert folder.parent == spool.folder
        assert folder.name.startswith(f"session-{os.getpid()}-")
        assert journal.path == folder / "run-0f-uid.journal"
        assert (folder / f"{folder.name}.lock").exists()
        for path in (spool.folder, folder):
            assert stat.S_IMODE(path.stat().st_mode) == 0o700
        assert session.journals() == [journal.path]
        journal.close()


def test_a_session_whose_journals_are_done_leaves_nothing(spool):
    session = spool.session()
    journal = session.journal("a", HEADER)
    journal.close()
    session.done(journal.path)
    session.done(journal.path)
    session.close()
    assert list(spool.folder.iterdir()) == []
    assert not session.held
    with pytest.raises(OSError, match="closed"):
        session.journal("b", HEADER)


def test_only_its_own_journals_are_removed(spool, tmp_path):
    (tmp_path / "data.journal").write_text("")
    with spool.session() as session, pytest.raises(ValueError, match="no journal of this session"):
        session.done(tmp_path / "data.journal")
    assert (tmp_path / "data.journal").exists()


@pytest.mark.parametrize("uid", ["../../up", "a/b", "", ".", "x" * 400, "µ", "\ud800", "with space"])
def test_any_uid_has_a_journal_in_the_folder(spool, uid):
    with spool.session() as session:
        journal = session.journal(uid, HEADER)
        assert journal.path.parent == session.folders[0]
        again = session.journal(uid, HEADER)
        assert again.path != journal.path
        assert len(session.journals()) == 2
        journal.close()
        again.close()


def open_files():
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_hundreds_of_sessions_made_and_dropped_leave_no_file_open_and_no_folder(spool):
    gc.collect()  # What tests before this one have left behind is not to go away in between.
    before = open_files()
    for i in range(300):
        session = spool.session()
        if i % 3 == 0:
            session.close()
        if i % 3 == 1:
            session.done(session.journal(str(i), HEADER).path)
    del session
    gc.collect()
    assert open_files() == before
    assert spool.orphans() == []
    assert list(spool.folder.iterdir()) == []


def test_a_journal_keeps_its_session_as_long_as_it_is_written(spool):
    journal = spool.session().journal("a", HEADER)
    gc.collect()
    assert spool.orphans() == []
    journal.append("event", {"seq_num": 1})
    folder = journal.path.parent
    del journal
    gc.collect()
    assert spool.orphans() == [folder]


# -- other places --------------------------------------------------------------------------------------------------


def test_by_default_journals_live_in_the_users_state_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert default_folder() == tmp_path / "state" / "nexus_callbacks" / "spool"
    assert Spool().folder == default_folder()
    assert len(Spool().fallbacks) == 1
    monkeypatch.setenv("XDG_STATE_HOME", "relative/is/ignored")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_folder() == tmp_path / ".local" / "state" / "nexus_callbacks" / "spool"


def test_a_network_disk_is_passed_over_unless_it_was_asked_for(monkeypatch, tmp_path):
    assert is_local(tmp_path / "not" / "there")
    monkeypatch.setattr(spool_module, "is_local", lambda path: False)
    assert Spool(fallbacks=[tmp_path]).folder == tmp_path
    assert Spool(fallbacks=[tmp_path]).fallbacks == (default_folder(),)
    assert Spool(tmp_path / "mine").folder == tmp_path / "mine"


def test_a_folder_that_cannot_be_made_is_replaced_by_the_next(spool):
    spool.folder.write_text("a file in the way")
    with spool.session() as session:
        assert session.folders[0].parent == spool.fallbacks[0]
    spool.fallbacks[0].rmdir()
    for place in spool.fallbacks:
        place.write_text("in the way as well")
    with pytest.raises(FileExistsError):
        spool.session()


def test_a_folder_of_another_user_is_not_used(spool, monkeypatch):
    orphaned(spool)
    user = os.getuid()
    monkeypatch.setattr(spool_module.os, "getuid", lambda: user + 1)
    monkeypatch.setattr(Path, "lstat", lambda path: os.stat_result((0o40700, 1, 1, 1, user + 2, 0, 0, 0, 0, 0)))
    assert spool.orphans() == []
    with pytest.raises(PermissionError, match="another user"):
        spool.session()


def test_a_full_journal_is_continued_in_the_next_place_and_so_on_to_the_last(spool):
    with spool.session() as session:
        paths = [None]
        for _ in range(3):
            journal = session.journal("a", {"after": str(paths[-1])}, after=paths[-1])
            journal.append("event", {"seq_num": 1})
            journal.close()
            paths.append(journal.path)
        assert [p.parent.parent for p in paths[1:]] == [spool.folder, *spool.fallbacks]
        assert len(session.folders) == 3
        assert session.journals() == paths[1:]
        with pytest.raises(OSError, match="no further place"):
            session.journal("a", {}, after=paths[-1])
        assert spool.orphans() == []
    assert spool.orphans() == [p.parent for p in paths[1:]]


def test_a_place_that_is_full_at_the_start_is_passed_over(spool, monkeypatch):
    make = spool_module.Journal

    def full(path, header, lease=None):
        if spool.folder in path.parents:
            raise JournalFull(errno.ENOSPC, "No space left on device")
        return make(path, header, lease)

    monkeypatch.setattr(spool_module, "Journal", full)
    with spool.session() as session:
        journal = session.journal("a", HEADER)
        assert journal.path.parent.parent == spool.fallbacks[0]
        journal.close()
        session.done(journal.path)
    assert list(spool.fallbacks[0].iterdir()) == []


# -- orphans -------------------------------------------------------------------------------------------------------


def test_what_nobody_holds_is_an_orphan_and_who_adopts_it_holds_it(spool):
    folder = orphaned(spool)
    assert spool.orphans() == [folder]
    session = spool.adopt(folder)
    assert session.held
    assert spool.orphans() == []
    assert spool.adopt(folder) is None
    (path,) = session.journals()
    with Reader(path) as reader:
        assert reader.header == HEADER
    session.done(path)
    session.close()
    assert not folder.exists()
    assert spool.adopt(folder) is None


def test_only_a_session_can_be_adopted(spool, tmp_path):
    (tmp_path / "data").mkdir()
    with pytest.raises(ValueError, match="no folder of a session"):
        spool.adopt(tmp_path / "data")
    assert list((tmp_path / "data").iterdir()) == []


def test_a_session_without_its_lock_file_is_an_orphan(spool):
    folder = orphaned(spool)
    (folder / f"{folder.name}.lock").unlink()
    assert spool.orphans() == [folder]
    assert spool.adopt(folder).journals() == [folder / "run-a.journal"]


def test_what_was_left_half_made_is_cleared_away_when_it_is_old(spool):
    spool.session().close()
    half_made = spool.folder / ".session-1-abcd"
    half_made.mkdir()
    assert spool.orphans() == []
    assert half_made.exists()
    os.utime(half_made, (time.time() - 3600,) * 2)
    assert spool.orphans() == []
    assert not half_made.exists()


HOLD = """
session = spool.session()
journal = session.journal("a", {"run": "a"})
journal.append("event", {"seq_num": 1})
say(session.folders[0])
"""


def test_a_killed_session_is_an_orphan_and_a_living_one_is_not(spool):
    session = other_process(HOLD + "time.sleep(600)", spool.folder)
    try:
        folder = Path(session.stdout.readline().strip())
        assert spool.orphans() == []
        assert spool.adopt(folder) is None
    finally:
        end(session)
    assert spool.orphans() == [folder]
    with spool.adopt(folder) as adopted, Reader(adopted.journals()[0]) as reader:
        assert reader.read(ended=True) == [("event", {"seq_num": 1})]


def test_a_session_that_ends_normally_clears_away_what_is_empty(spool):
    session = other_process("session = spool.session()\nsay(session.folders[0])\nsys.stdin.readline()", spool.folder)
    folder = Path(session.stdout.readline().strip())
    assert folder.exists()
    session.communicate("end\n")
    assert session.returncode == 0
    assert not folder.exists()


def test_of_many_adopters_exactly_one_gets_it(spool):
    adopters = [
        other_process(
            """
            say("ready")
            for line in sys.stdin:
                folder = Path(line.strip())
                assert len(spool.orphans()) < 2  # looking must not get in the way
                session = spool.adopt(folder)
                say(session is not None)
                if session and sys.stdin.readline():
                    for path in session.journals():
                        session.done(path)
                    session.close()
                    say("done")
                elif not session:
                    sys.stdin.readline()
            """,
            spool.folder,
        )
        for _ in range(4)
    ]
    try:
        for adopter in adopters:
            assert adopter.stdout.readline() == "ready\n"
        for _ in range(10):
            folder = orphaned(spool)
            for adopter in adopters:
                print(folder, file=adopter.stdin, flush=True)
            answers = [adopter.stdout.readline().strip() for adopter in adopters]
            assert sorted(answers) == ["False", "False", "False", "True"]
            for adopter in adopters:
                print("go on", file=adopter.stdin, flush=True)
            assert adopters[answers.index("True")].stdout.readline() == "done\n"
            assert not folder.exists()
    finally:
        for adopter in adopters:
            end(adopter)


# -- forks ---------------------------------------------------------------------------------------------------------


def test_a_forked_child_owns_nothing_and_releases_nothing(spool):
    session = spool.session()
    journal = session.journal("a", HEADER)

    def child():
        owns_nothing = not session.held and spool.orphans() == [] and spool.adopt(session.folders[0]) is None
        with pytest.raises(JournalClosed):
            journal.append("event", {})
        with pytest.raises(OSError, match="forked"):
            session.journal("b", HEADER)
        with spool.session() as own:
            owns_itself = own.held
        session.close()
        return owns_nothing and owns_itself

    assert in_a_fork(child) == 0
    assert session.held
    assert spool.orphans() == []
    journal.append("event", {"seq_num": 1})
    assert session.journals() == [journal.path]
    journal.close()
    session.close()


def test_a_child_that_ends_as_python_does_leaves_its_parents_session_alone(spool):
    parent = other_process(
        """
        session = spool.session()
        if os.fork() == 0:
            sys.exit()
        os.wait()
        say(session.folders[0])
        time.sleep(600)
        """,
        spool.folder,
    )
    try:
        folder = Path(parent.stdout.readline().strip())
        assert folder.exists()
        assert spool.orphans() == []
        assert spool.adopt(folder) is None
    finally:
        end(parent)


def test_a_killed_session_is_an_orphan_even_while_a_child_of_its_lives(spool):
    parent = other_process(
        HOLD
        + """
if (child := os.fork()) == 0:
    say("the child lives")
    sys.stdin.readline()
    os._exit(0)
say(child)
time.sleep(600)
""",
        spool.folder,
    )
    folder = Path(parent.stdout.readline().strip())
    said = {parent.stdout.readline().strip() for _ in range(2)}
    (child,) = (int(line) for line in said if line.isdigit())
    try:
        assert spool.orphans() == []
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
        os.kill(child, 0)  # is there
        assert spool.orphans() == [folder]
    finally:
        parent.communicate("end\n")  # to the child, which still reads
