"""The harness itself, on one small workload. No timings: what a number is depends on the machine."""

import textwrap
from pathlib import Path

import pytest

from benchmarks import table
from benchmarks.bars import BARS, LIMIT, SAMPLINGS
from benchmarks.job import Job
from benchmarks.sampling import Place, compare, sample
from benchmarks.streams import WORKLOADS, stream

N = 50


def test_every_row_of_a_workload_is_read_back(tmp_path):
    jobs = [Job("time", contestant, "W1", N) for contestant in ("inline", LIMIT)]
    found = compare(jobs, 1, lambda job: sample(job, Place(tmp_path)))
    rows = {name: result.get("rows_ok", result) for name, result in found.items()}
    assert rows == {"inline": N, LIMIT: N}
    assert [p.name for p in tmp_path.iterdir()] == ["nexus-callbacks-benchmarks"], "samples leave nothing behind"


def test_rows_that_a_writer_spoils_are_seen(tmp_path, monkeypatch):
    code = """
        from benchmarks.writers import limits

        class Spoils(limits.Limit):
            def event(self, document):
                row = dict(document["data"])
                row["c3"] += document["seq_num"] > 20
                super().event({**document, "data": row})

        def spoils(folder):
            return Spoils(folder)
        """
    (tmp_path / "spoiling.py").write_text(textwrap.dedent(code), encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert sample(Job("time", "spoiling:spoils", "W1", N), Place(tmp_path))["rows_ok"] == 20


def test_a_contestant_that_is_not_installed_is_absent_not_wrong(tmp_path, monkeypatch):
    code = "from benchmarks.writers import need\ndef missing(folder): return need('a_package_of_nobody')\n"
    (tmp_path / "lacking.py").write_text(code, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    found = sample(Job("time", "lacking:missing", "W1", N), Place(tmp_path))
    assert found == {"absent": "a_package_of_nobody is not installed"}


@pytest.mark.parametrize("name", WORKLOADS)
def test_every_document_is_valid_and_the_same_again(name, tmp_path):
    from event_model import DocumentNames, schema_validators

    def uids():
        documents = list(stream(name, WORKLOADS[name].tiny, Path(tmp_path)))
        for kind, document in documents:
            schema_validators[DocumentNames[kind]].validate(document)
        return [document.get("uid") for _, document in documents]

    assert uids() == uids()


def results(figures, n=N):
    """One result for every sampling and contestant."""
    return {(name, who): {"n": n, **figures} for name in SAMPLINGS for who in ("inline", "journaled", "direct", LIMIT)}


def figures(number):
    return {bar.figure: number for bar in BARS}


def verdicts(found, journal):
    return {(line.writer, line.verdict) for line in table.lines(found, journal)}


def test_bars_of_the_journal_wait_until_there_is_one():
    found = verdicts(results(figures(1e9)), journal=False)
    assert {verdict for writer, verdict in found if writer == "journaled"} == {"not there yet"}
    assert ("direct", "not met") in found
    assert "not there yet" not in {verdict for _, verdict in verdicts(results(figures(1e9)), journal=True)}


def test_bars_are_held_against_number_and_ratio():
    lines = {(line.what, line.writer): line for line in table.lines(results(figures(8.0)), journal=True)}
    assert lines["W1 at full speed, caller's thread, p50", "journaled"].verdict == "not met"  # ≤ 4
    assert lines["W1 at 1 kHz, caller's thread, p50", "journaled"].verdict == "met"  # ≤ 15
    assert lines["W2 pages, a row", "direct"].verdict == "met"  # as the yardstick; ≤ 1.5 of it
    assert lines["W5 baseline, a signal", "direct"].verdict == "not met"  # ≤ 0.6 of it
    assert lines["W1 events to the final file", "journaled"].verdict == "met"  # ≥ 0.2 of it


def test_a_fast_writer_that_loses_rows_has_met_nothing():
    found = results({**figures(0.001), "rows_ok": N - 1})
    assert {verdict for _, verdict in verdicts(found, journal=True)} == {f"wrong: {N - 1} of {N} rows"}


def test_the_text_has_a_line_a_bar_and_says_what_is_not_there_yet():
    found = table.lines(results(figures(1.0)), journal=False)
    text = table.text(found, journal=False)
    assert all(bar.what in text and bar.text in text for bar in BARS)
    assert "NexusWriter takes no argument 'journal'" in text
