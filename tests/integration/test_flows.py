"""The other flows of `flows/`, each to a result that is known otherwise; the VQE has its own."""

import pytest

from flows.dask_subspace import dask_subspace
from flows.error_mitigation import error_mitigation
from flows.gradient_vqe import gradient_vqe
from flows.qaoa import qaoa
from flows.sweep import sweep
from tests.integration.conftest import outcomes


@pytest.fixture(autouse=True)
def _in_the_emulator(monkeypatch, block):
    """Point the settings at the emulator, as an operator would."""
    monkeypatch.setenv("PREFECT_INTEGRATIONS_QSESSION_CREDENTIALS", block)
    monkeypatch.setenv("PREFECT_INTEGRATIONS_QSESSION_BACKEND", "ibm_sherbrooke")


def in_one_closed_session(emulator, mode="dedicated") -> bool:
    """Whether every job ran in the one session there is, in this mode, and it was closed."""
    [session] = emulator.sessions
    jobs_in = {job.session_id for job in emulator.jobs}
    return (["close"], {session.id}, mode) == (outcomes(emulator), jobs_in, session.mode)


@pytest.mark.parametrize("cost", ["sampler", "estimator"])
def test_qaoa_finds_the_largest_cut_of_a_small_graph(cost, emulator):
    """With either primitive; the mean cut is better at the end than at the start."""
    result = qaoa(nodes=5, layers=1, max_evaluations=12, cost=cost)

    assert result.weight == pytest.approx(result.largest)
    assert result.mean_weights[0] < max(result.mean_weights) <= result.largest
    assert in_one_closed_session(emulator)
    assert len(emulator.jobs) == len(result.mean_weights) + 1


def test_qaoa_cuts_a_graph_from_a_file(tmp_path, emulator):
    """A square without diagonals is cut everywhere, two nodes against two."""
    file = tmp_path / "square.txt"
    file.write_text("0 1 1.0\n1 2 1.0\n2 3 1.0\n3 0 1.0\n")

    result = qaoa(graph_file=file, layers=1, max_evaluations=4)

    assert (4.0, [0, 2]) == (result.weight, result.one_side)
    assert in_one_closed_session(emulator)


def test_gradient_descent_finds_the_energy_of_hydrogen(emulator):
    """Of two parameters: five energies are in flight at each step; the gradient vanishes."""
    result = gradient_vqe(steps=5)

    assert result.energy == pytest.approx(result.exact_energy, abs=0.02)
    assert result.gradients[-1] < result.gradients[0] / 3
    assert in_one_closed_session(emulator)
    assert 5 + 1 == len(result.energies)


def test_the_dissociation_curve_follows_the_exact_one_in_a_batch(emulator):
    """Every point within 0.02 hartree, and the lowest where the bond is."""
    curve = sweep(shortest=0.45, longest=1.65, points=4)

    assert [0.45, 0.85, 1.25, 1.65] == pytest.approx([point.bond_length for point in curve])
    assert [it.energy for it in curve] == pytest.approx([it.exact_energy for it in curve], abs=0.02)
    assert 0.85 == pytest.approx(min(curve, key=lambda point: point.energy).bond_length)
    assert in_one_closed_session(emulator, mode="batch")


def test_methods_of_error_mitigation_are_compared_in_one_session(emulator):
    """On a device that makes no errors all agree; the more a method does, the more it runs."""
    measured = error_mitigation(spins=3, steps=1, methods=["none", "readout", "extrapolation"])

    assert ["none", "readout", "extrapolation"] == [it.method for it in measured]
    assert all(abs(it.error) < 5 * it.standard_error for it in measured)
    assert in_one_closed_session(emulator)
    none, readout, extrapolation = sorted(job.executions for job in emulator.jobs)
    assert none < readout < extrapolation


@pytest.mark.slow
def test_a_subspace_is_diagonalised_on_dask_within_the_session(emulator):
    """The energy never rises, and ends at the exact one; the jobs are the parent's."""
    result = dask_subspace(molecule="H2", iterations=3, workers=1)

    assert result.energies == sorted(result.energies, reverse=True)
    assert result.energy == pytest.approx(result.exact_energy, abs=1e-6)
    assert in_one_closed_session(emulator)
    assert len(emulator.jobs) == len(result.energies)
