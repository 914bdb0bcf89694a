"""Makes the notebook of the flights example from its script, without outputs, the same bytes every time.

Usage: python notebook.py SCRIPT.py
"""

import sys
from pathlib import Path

import jupytext
import nbformat


def notebook(script: Path) -> nbformat.NotebookNode:
    """The cells of a script in percent format; cells have no ids, which would be random."""
    made = jupytext.read(script)
    made.nbformat, made.nbformat_minor = 4, 4
    made.metadata = nbformat.NotebookNode(
        kernelspec={"display_name": "Python 3", "language": "python", "name": "python3"}, language_info={"name": "python"}
    )
    for cell in made.cells:
        cell.pop("id", None)
        cell.metadata = nbformat.NotebookNode()
    return made


def text(script: Path) -> str:
    return nbformat.writes(notebook(script)) + "\n"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    script = Path(sys.argv[1])
    script.with_suffix(".ipynb").write_text(text(script), encoding="utf-8")
