"""What `import prefect_qsession` offers."""

import subprocess
import sys

import pytest

import prefect_qsession


@pytest.mark.parametrize("name", prefect_qsession.__all__)
def test_every_name_of_the_front_door_is_there(name):
    """What is announced can be had."""
    assert name == getattr(prefect_qsession, name).__name__


def test_a_name_that_is_not_there_is_an_attribute_error():
    """The lazy door answers as any module does."""
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = prefect_qsession.nothing


def test_the_package_alone_imports_neither_qiskit_nor_prefect():
    """What is slow to import is imported when it is needed."""
    program = (
        "import sys, prefect_qsession; "
        "sys.exit(any(name in sys.modules for name in ('qiskit', 'prefect')))"
    )
    assert 0 == subprocess.run([sys.executable, "-c", program], check=False).returncode


def test_the_credentials_block_does_not_import_qiskit():
    """Prefect imports it in every process, to register the block."""
    program = "import sys, prefect_qsession.credentials; sys.exit('qiskit' in sys.modules)"
    assert 0 == subprocess.run([sys.executable, "-c", program], check=False).returncode
