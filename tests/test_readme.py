"""What the README says is so: its Python runs, also line by line at a prompt, and its commands do."""

import code
import re
import shlex
import xml.etree.ElementTree
from pathlib import Path

import numpy as np
import pytest

from autograd_mini import jacobian, trace
from autograd_mini.command_line import main
from autograd_mini.drawing import layout

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The names that the blocks leave, and the folder in which they ran."""
    folder = tmp_path_factory.mktemp("readme")
    names = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for block in BLOCKS:
            exec(block, names)
    return names, folder


def test_it_is_short():
    assert README.count("\n") <= 250


def test_the_python_blocks_run(run):
    names, _ = run
    assert names["report"].verdict == "agrees"
    np.testing.assert_allclose(names["z"].grad, [0.622, 0.084, -0.706], atol=5e-4)
    said = dict(re.findall(r"^(?:print\()?((?:wrong|found)[.[][^#\n]*?)\)? +# (.*)$", README, re.MULTILINE))
    assert len(said) == 3
    for expression, text in said.items():
        assert str(eval(expression, names)) == text
    assert trace(jacobian(names["softmax_of"]), np.zeros(100)).source("numpy") in README


@pytest.mark.skipif(not layout.programs(), reason="no Graphviz here")
def test_the_first_picture_is_what_the_first_block_draws(run):
    _, folder = run
    picture = ROOT / re.search(r"!\[.*?\]\((.*?)\)", README)[1]
    assert texts(folder / "loss.svg") == texts(picture)


def texts(picture):
    """What is written in a picture."""
    tree = xml.etree.ElementTree.parse(picture)
    return sorted("".join(node.itertext()) for node in tree.iter("{http://www.w3.org/2000/svg}text"))


def test_the_blocks_paste_into_a_prompt(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    prompt = code.InteractiveConsole()
    for block in BLOCKS:
        for line in block.splitlines():
            waits = prompt.push(line)
        assert not waits, f"a block is open after {line!r}"
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "line", re.findall(r"^autograd-mini ((?!grade|check layers).*)$", README, re.MULTILINE)
)
def test_the_commands_run(line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("webbrowser.open", lambda address: None)
    assert main(shlex.split(line, comments=True)) == 0


@pytest.mark.parametrize("path", re.findall(r"(?:demos|tests)/[\w/]+\.\w+", README))
def test_the_files_named_exist(path):
    assert (ROOT / path).is_file()
