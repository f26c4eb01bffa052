"""The tour as a notebook: it runs, and its cells show what the text beside them says."""

import os
from pathlib import Path

import pytest

nbclient = pytest.importorskip("nbclient", reason="the tour is run where the extra demos is installed")
nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")

ROOT = Path(__file__).parents[1]
TOUR = ROOT / "demos" / "tour.ipynb"


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """The cells of code, run, by their last lines."""
    notebook = nbformat.read(TOUR, 4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "the tour is kept without its outputs"
    folder = str(tmp_path_factory.mktemp("tour"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])))
        nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": folder}}).execute()
    return {cell.source.splitlines()[-1]: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}


def shown(cells, beginning):
    """What the cell shows whose last line begins so, by types."""
    ((output,),) = (outputs for line, outputs in cells.items() if line.startswith(beginning))
    return output.get("data") or {"text/plain": output.text}


@pytest.mark.filterwarnings("ignore")  # of Jupyter
def test_the_cells_show_what_the_tour_says(cells):
    assert "0.0841793" in shown(cells, "z")["text/html"]
    assert "agrees" in shown(cells, "check_jacobian")["text/plain"]
    assert "yours takes only the diagonal of ∂S/∂z" in shown(cells, "report")["text/html"]
    assert "right: db = dz.sum(axis=0)" in shown(cells, "check_backward")["text/plain"]
    assert "np.fill_diagonal" in shown(cells, "print(")["text/plain"]
    assert "text/latex" in shown(cells, "Math(")
    pictures = [shown(cells, f"draw(loss, {options}") for options in ("constants", "contributions")]
    assert all("text/plain" in picture for picture in pictures)
