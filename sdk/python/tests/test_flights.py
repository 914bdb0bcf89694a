"""The notebook of the flights example is that of its script, and runs from the first cell to the last."""

import importlib.util
import shutil
from pathlib import Path

import nbclient
import pytest

ROOT = Path(__file__).parents[3]
FLIGHTS = ROOT / "examples" / "flights"


def converter():
    spec = importlib.util.spec_from_file_location("notebook", ROOT / "sdk" / "python" / "notebook.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_notebook_is_that_of_the_script():
    made = converter().text(FLIGHTS / "train.py")
    assert (FLIGHTS / "train.ipynb").read_text(encoding="utf-8") == made, "run: make notebook"


def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    copy = tmp_path / "flights"
    shutil.copytree(FLIGHTS, copy, ignore=shutil.ignore_patterns(".unskew", "*.go", "convert"))
    monkeypatch.setenv("FLIGHTS", str(copy))
    notebook = converter().notebook(FLIGHTS / "train.py")
    nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
    printed = ["".join(o["text"] for o in c.outputs if o["output_type"] == "stream" and o["name"] == "stdout") for c in notebook.cells if c.cell_type == "code"]
    assert "leaking" in "".join(printed) and printed[-1].count(" 0.") == 3, printed
