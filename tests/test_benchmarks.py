"""The benchmarks run, and print what they promise; how fast anything is, is not asserted here."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent


def test_the_iteration_benchmark_prints_its_figures_last():
    """One JSON object, with a finite number for every figure, and every loop that was run."""
    command = [sys.executable, "-m", "benchmarks.iteration", "--quick", "--json"]
    finished = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    report = json.loads(finished.stdout.splitlines()[-1])

    assert {"name", "figures", "details"} == set(report)
    assert "iteration" == report["name"]
    assert {
        "qpu_idle_ratio_worst",
        "qpu_idle_ratio_median",
        "wall_ratio_worst",
        "requests_ratio_worst",
    } == set(report["figures"])
    assert all(math.isfinite(value) for value in report["figures"].values())
    assert [1] == [len(pairs) for pairs in report["details"]["pairs"]]


def test_the_preparing_benchmark_fills_every_program():
    """It ends where one is not filled."""
    command = [sys.executable, "-m", "benchmarks.preparing", "--quick", "--json"]
    finished = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    report = json.loads(finished.stdout.splitlines()[-1])

    assert 8 == len(report["figures"])
    assert all(0 < value < math.inf for value in report["figures"].values())
    assert {5} == {
        len(seconds) for one in report["details"]["seconds"].values() for seconds in one.values()
    }


def test_the_reaping_benchmark_keeps_every_living_session():
    """Two pages of entries are read with six requests, and none of them is released."""
    command = [sys.executable, "-m", "benchmarks.reaping", "--entries", "300", "--json"]
    finished = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    report = json.loads(finished.stdout.splitlines()[-1])

    assert "reaping" == report["name"]
    assert 6 == report["figures"]["requests"]
    assert all(math.isfinite(value) for value in report["figures"].values())


def test_the_emulator_benchmark_completes_every_job():
    """Every figure is a number, and every job that was asked for was run."""
    command = [sys.executable, "-m", "benchmarks.emulator", "--quick", "--json"]
    finished = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    report = json.loads(finished.stdout.splitlines()[-1])
    throughput = report["details"]["throughput"]

    assert "emulator" == report["name"]
    assert {
        "status_ms_median",
        "status_ms_median_while_simulating",
        "jobs_per_second",
        "jobs_per_second_bare",
        "memory_mib_1000_sessions",
    } == set(report["figures"])
    assert all(math.isfinite(value) for value in report["figures"].values())
    assert [40, 80] == [throughput[kind]["jobs"] for kind in ("client", "bare")]
    assert 2000 == report["details"]["memory"]["jobs"]


def test_no_fault_duplicates_a_job_or_loses_a_result():
    """A few of the trials; and a job takes as many requests as the bare client's."""
    command = [sys.executable, "-m", "benchmarks.job_faults", "--trials", "6", "--json"]
    finished = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    report = json.loads(finished.stdout.splitlines()[-1])
    figures = report["figures"]

    assert "job_faults" == report["name"]
    assert [0, 0, 0] == [
        figures[name] for name in ("jobs_duplicated", "results_lost", "results_wrong")
    ]
    assert figures["requests_per_job"] <= figures["requests_per_job_bare"]
    assert 0 == report["details"]["sessions_left_open"]
    assert 6 <= report["details"]["results"]


def test_a_killed_flow_run_resumes_where_it_stopped():
    """One trial: it is killed, retried, submits no job twice, and finds the same energies."""
    options = ("--trials", "1", "--evaluations", "6", "--replayed", "20", "--json")
    command = [sys.executable, "-m", "benchmarks.resume", *options]
    finished = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    report = json.loads(finished.stdout.splitlines()[-1])

    assert "resume" == report["name"]
    assert 0 == report["figures"]["jobs_submitted_twice"]
    assert 0 == report["figures"]["energies_that_differ"]
    assert math.isfinite(report["figures"]["replay_seconds_20"])
    assert 1 <= report["details"]["processes_killed"]
    assert 4 < report["details"]["energies_compared"]
