"""Every test has a project of its own, made by the binary; the server is a real one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import unskew
from unskew import _binary


@pytest.fixture
def project(tmp_path: Path) -> unskew.Project:
    _binary.run(["-C", str(tmp_path), "init"], progress=False)
    return unskew.Project(tmp_path, progress=False)


@pytest.fixture
def client(project: unskew.Project) -> Iterator[unskew.Client]:
    project.materialize()
    with project.serve() as client:
        yield client
