"""The parameters of the flows: what Prefect's UI makes its forms of, and what it refuses."""

import pytest
from prefect.exceptions import ParameterTypeError

from flows.dask_subspace import dask_subspace
from flows.error_mitigation import error_mitigation
from flows.gradient_vqe import gradient_vqe
from flows.qaoa import qaoa
from flows.reap_sessions import reap
from flows.sweep import sweep
from flows.vqe import vqe
from prefect_qsession import SessionTaskRunner

QUANTUM = [dask_subspace, error_mitigation, gradient_vqe, qaoa, sweep, vqe]
FLOWS = [*QUANTUM, reap]
BAD = [
    (dask_subspace, {"iterations": 0}),
    (dask_subspace, {"workers": 1000}),
    (error_mitigation, {"methods": ["wishing"]}),
    (error_mitigation, {"methods": []}),
    (error_mitigation, {"spins": 17}),
    (gradient_vqe, {"learning_rate": 0}),
    (gradient_vqe, {"molecule": "H2O"}),
    (qaoa, {"nodes": 1}),
    (qaoa, {"edge_probability": 1.5}),
    (qaoa, {"cost": "guessing"}),
    (qaoa, {"layers": "many"}),
    (reap, {"patience_seconds": -1}),
    (sweep, {"longest": 3.0}),
    (sweep, {"points": 1}),
    (vqe, {"bond_length": 0.1}),
    (vqe, {"precision": 0}),
]


def _names(value):
    return value.name if hasattr(value, "name") else ",".join(value)


@pytest.mark.parametrize("flow", FLOWS, ids=_names)
def test_every_field_of_the_form_is_described_and_has_a_value(flow):
    """The description is the one of the docstring, and the form can be sent as it is."""
    schema = flow.parameters.model_dump()

    assert [] == schema["required"]
    assert {} != schema["properties"]
    for field in schema["properties"].values():
        assert field["description"]
        assert "default" in field


def test_limits_and_choices_are_in_the_form():
    """The UI shows choices as a list, and refuses what is beyond a limit before it is sent."""
    fields = qaoa.parameters.properties

    assert ["sampler", "estimator"] == fields["cost"]["enum"]
    assert (2, 100) == (fields["nodes"]["minimum"], fields["nodes"]["maximum"])


@pytest.mark.parametrize(("flow", "parameters"), BAD, ids=_names)
def test_bad_parameters_are_refused(flow, parameters):
    """By Prefect, before the flow begins."""
    with pytest.raises(ParameterTypeError, match=next(iter(parameters))):
        flow.validate_parameters({**flow.validate_parameters({}), **parameters})


@pytest.mark.parametrize("flow", QUANTUM, ids=_names)
def test_every_quantum_flow_runs_in_a_session_and_keeps_its_result(flow):
    """Its result can be read when the run is over, on the machine that ran it."""
    assert isinstance(flow.task_runner, SessionTaskRunner)
    assert flow.persist_result is True
