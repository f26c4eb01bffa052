"""The command line, ``autograd-mini`` or ``python -m autograd_mini``.

Every command is a function of its options that prints and returns the exit status: 0 agrees or done,
1 disagrees, 2 bad use, 3 inconclusive.
"""

from __future__ import annotations

import argparse
import io
import itertools
import keyword
import math
import os
import re
import shutil
import sys
import textwrap
import warnings
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from typing import Any, NoReturn

from autograd_mini import __version__
from autograd_mini.command_line.arguments import line_of
from autograd_mini.command_line.checks import check
from autograd_mini.command_line.derivations import derive
from autograd_mini.command_line.derivatives import grad, print_rules
from autograd_mini.command_line.grading import grade
from autograd_mini.command_line.passes import check_file, is_file
from autograd_mini.command_line.pictures import draw, draw_options, view
from autograd_mini.grading.reports import TELL
from autograd_mini.suggestions import did_you_mean

BAD_USE = 2
UNREAD = 141  # as shells say of a program whose output nobody reads to the end
LANGUAGES = ("python", "numpy", "latex", "javascript", "c")
FORMULA = """\
A formula is made of names, numbers, + - * / ** @, comparisons, a if c else b, indexing z[0], lists, pi, e,
the functions of the table (autograd-mini rules), softmax, cross_entropy and the other losses, and
sum mean max min dot outer diag transpose eye; or as it is printed, "Sᵢ(δᵢⱼ − Sⱼ)", or in LaTeX,
"S_i (\\delta_{ij} - S_j)". Put it in quotation marks. It is parsed, never executed.
Numbers are given as x=-0.5, vectors as z=1,2,3, matrices as W="1,2;3,4" or W="[[1,2],[3,4]]".
"""
STATUS = "exit status: 0 {ok}, 1 {wrong}, 2 bad use, 3 inconclusive"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a console that lacks a character shows another
            stream.reconfigure(errors="replace")
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _remark
            options = _options(sys.argv[1:] if arguments is None else arguments)
            status: int = options.run(options)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UNREAD
    except KeyboardInterrupt:
        return 130
    except (ArithmeticError, ImportError, OSError, RuntimeError, SyntaxError, TypeError, ValueError) as error:
        said = (
            f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else error
        )
        print(f"autograd-mini: {said}", file=sys.stderr)
        return BAD_USE
    return status


def _remark(message: Warning | str, *place: Any, **file: Any) -> None:
    """Show a warning as errors are shown: by its sentence alone."""
    print(f"autograd-mini: {message}", file=sys.stderr)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser, commands = _parsers()
    first, *others = arguments = arguments or ["help"]
    if first in commands:
        known = re.findall(r"--[\w-]+", commands[first].format_usage())
        options = commands[first].parse_intermixed_args(_protected(others, known))
        options.line = arguments
        return options
    if not first.startswith("-"):
        parser.error(_no_command(arguments, commands))
    return parser.parse_args(arguments)


def _no_command(arguments: Sequence[str], commands: Collection[str]) -> str:
    """What is said of a first argument that is no command."""
    first = arguments[0]
    said = f"there is no command {first}"
    if is_file(first):
        return f"{said}; a file is checked by: {line_of(['check', *arguments])}"
    if not re.fullmatch(r"[\w-]+", first):
        return f"{said}; a formula comes after one: {line_of(['grad', *arguments])}"
    return f"{said}; {did_you_mean(first, commands)}"


def _protected(arguments: Sequence[str], options: Collection[str]) -> list[str]:
    """The arguments with a blank before a formula such as ``-x**2``, which argparse takes for an option.

    One of the options is taken with one dash too, and a formula has no such name.
    """
    protected = []
    for argument, after in zip(arguments, [*arguments, ""][1:], strict=True):
        if argument == "--source" and not after.isalpha():
            argument = "--source=python"
        if len(argument) > 2 and f"-{argument}".partition("=")[0] in options:
            argument = f"-{argument}"
        is_option = argument.startswith("--") or argument in ("-h", "-o", "-")
        protected.append(argument if is_option else f" {argument}" if argument[:1] == "-" else argument)
    return protected


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        if unknown := re.fullmatch(r"unrecognized arguments: (--([\w-]+)).*", message, re.DOTALL):
            options = re.findall(r"--[\w-]+", self.format_usage())
            hint = did_you_mean(unknown[1], options)
            message += f"; a number is given as {unknown[2]}=0.5" if len(unknown[2]) == 1 else f"; {hint}"
        end = "" if message.endswith("?") else ";"
        print(f"{self.prog}: {message}{end} see {self.prog} --help", file=sys.stderr)
        raise SystemExit(BAD_USE)


def _parsers() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    parser = _Parser(
        "autograd-mini",
        description="Differentiate formulas, and check derivatives that were derived by hand.",
        epilog="autograd-mini help COMMAND has an example of each.",
    )
    parser.add_argument("--version", action="version", version=f"autograd-mini {__version__}")
    listed = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, help: str, description: str, example: str) -> argparse.ArgumentParser:
        commands[name] = listed.add_parser(
            name,
            help=help,
            description=_folded(f"{help[0].upper()}{help[1:]}.\n\n{description}"),
            epilog=_folded(example),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        return commands[name]

    commands: dict[str, argparse.ArgumentParser] = {}
    _add_grad(command("grad", "print the value of a formula and every partial derivative", FORMULA, GRAD))
    _add_derive(command("derive", "print the derivation of a gradient, line by line", FORMULA, DERIVE))
    _add_check(command("check", "check a derivative that was derived by hand", FORMULA, CHECK))
    _add_pictures(command("draw", "draw the graph of a formula with its numbers", FORMULA, DRAW), "graph.svg")
    live = command("view", "write a page on which the graph moves with its numbers", FORMULA, VIEW)
    _add_pictures(live, "graph.html")
    live.add_argument("--open", action="store_true", help="show it in the browser")
    live.set_defaults(run=view)
    table = command("rules", "print the derivative table", "As Markdown.", RULES)
    table.add_argument("functions", metavar="FUNCTION", nargs="*", help="only these, such as sigmoid")
    table.set_defaults(run=print_rules)
    _add_grade(command("grade", "grade gradients that were handed in", GRADING, GRADE))
    told = command("help", "say what a command does, with examples", "", "")
    told.add_argument("command", metavar="COMMAND", nargs="?", help=", ".join(commands))
    told.set_defaults(run=lambda options: _help(options.command, parser, commands))
    return parser, commands


def _folded(text: str) -> str:
    """The text as wide as the terminal; lines that are indented, such as examples, stay as they are."""
    width = shutil.get_terminal_size().columns - 2  # as argparse has it
    parts = itertools.groupby(text.splitlines(), lambda line: bool(line) and line[0] != " ")
    folded = (textwrap.wrap(" ".join(lines), width) if is_prose else lines for is_prose, lines in parts)
    return "\n".join(itertools.chain.from_iterable(folded))


def _help(
    command: str | None, parser: argparse.ArgumentParser, commands: Mapping[str, argparse.ArgumentParser]
) -> int:
    if command is not None and command not in commands:
        parser.error(_no_command([command], commands))
    (commands[command] if command else parser).print_help()
    return 0


def _add_formula(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("formula", metavar="FORMULA", help='such as "log(1 + exp(-x))"')


def _add_names(parser: argparse.ArgumentParser, help: str) -> None:
    parser.add_argument("names", metavar="NAME=NUMBERS", nargs="*", default=[], help=help)


GRAD = """\
examples:
  autograd-mini grad "log(1 + exp(-y*(w*x + b)))" w=0.5 x=2 b=0.1 y=1
  autograd-mini grad "softmax(z)[0]" z=1,2,3 --json
  autograd-mini grad "x**2 * sin(y)" x=3 y=pi/4 --hessian --wrt x
  autograd-mini grad "sum(tanh(W @ x))" W="1,2;3,4" x=0.5,-0.5 --source javascript --name loss
"""
RULES = """\
example:
  autograd-mini rules sigmoid tanh
"""


def _add_grad(parser: argparse.ArgumentParser) -> None:
    _add_formula(parser)
    _add_names(parser, "the numbers, in the order in which the derivatives are printed")
    parser.add_argument("--wrt", metavar="NAMES", help="with respect to these only, such as w,b")
    parser.add_argument("--hessian", action="store_true", help="the second derivatives too")
    parser.add_argument("--json", action="store_true", help=f"for machines; {IN_JSON}")
    parser.add_argument(
        "--source", choices=LANGUAGES, help="print a function that computes value and gradient (python)"
    )
    parser.add_argument("--precision", type=_digits, default=10, metavar="N", help="significant digits (10)")
    parser.add_argument("--name", type=_name, help="what the formula's value is called (f)")
    parser.set_defaults(run=grad)


DERIVE = """\
examples:
  autograd-mini derive "cross_entropy(softmax(z), t)" z=1.5,-0.5,0.75 t=0,0,1
  autograd-mini derive "sum((X @ w - y)**2)" w=1,2 X="1,2;3,4;5,6" y=1,0,1 --latex
Arguments that sum to 1, or are all 1 and -1, are taken to be so everywhere; where that is used it is said.
"""


def _add_derive(parser: argparse.ArgumentParser) -> None:
    _add_formula(parser)
    _add_names(parser, "the point; the first name is differentiated unless --wrt says which")
    parser.add_argument("--wrt", metavar="NAMES", help="with respect to these, such as w,b")
    parser.add_argument("--latex", action="store_true", help="print it as LaTeX")
    parser.set_defaults(run=derive)


IN_JSON = 'infinities are "inf" and "-inf", and nan is null'
CHECK = """\
examples:
  autograd-mini check "sigmoid(x)" --wrt x "sigmoid(x) * (1 - sigmoid(x))"
  autograd-mini check "softmax(z)" --wrt z "diag(S) - outer(S, S)" --let S="softmax(z)" z=1,2,3
  autograd-mini check "softmax(z)" --wrt z "S[i] * ((i == j) - S[j])" --let S="softmax(z)" z=1,2,3
  autograd-mini check "x * sin(y)" --wrt x,y "sin(y)" "x * cos(y)"
In the third, i and j are the row and the column; a name from i to n without a number is an index. --name S
calls the formula's value S, as --let S="softmax(z)" does.

  autograd-mini check net.py
  autograd-mini check net.py --forward forward --backward backward --at "x=randn(3,4)" "W=randn(4,5)"
  autograd-mini check layers.ipynb --forward Linear.forward --backward Linear.backward
A file is EXECUTED, its definitions one by one, without what it does with them. Numbers that are not given are
proposed by the names of parameters, and printed. randn(3,4) and rand(3,4) have this shape, randint(5,3) are
three whole numbers below 5, onehot(3,5) rows of an identity; {"W1": randn(4,5)} is a dict.

""" + STATUS.format(ok="agrees", wrong="disagrees")


def _add_check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("formula", metavar="FORMULA", help='such as "log(1 + exp(-x))", or a file of passes')
    parser.add_argument(
        "hand", metavar="DERIVATIVE", nargs="?", help="a formula in the same names, or one for each of --wrt"
    )
    _add_names(parser, "the point; a name without numbers is drawn at random")
    parser.add_argument(
        "--wrt", metavar="NAMES", help="with respect to this, or, with a DERIVATIVE for each, to x,y"
    )
    parser.add_argument("--name", type=_name, help="what the formula's value is called in DERIVATIVE (f)")
    passes = parser.add_argument_group("of a file, FORMULA ending in .py or .ipynb")
    passes.add_argument("--forward", metavar="NAME", help="a function, or Class.method")
    passes.add_argument(
        "--backward", metavar="NAME", help="the same; without, forward returns loss, gradients"
    )
    passes.add_argument(
        "--at", metavar="NAME=NUMBERS", nargs="+", action="extend", default=[], help="the point"
    )
    passes.add_argument(
        "--loss", metavar="NAME", help="a function of forward's output, where backward starts"
    )
    passes.add_argument("--out", metavar="NAME", help="the output, of several results or attributes")
    passes.add_argument(
        "--gradient", metavar="NAME=GRADIENT", action="append", default=[], help="how backward calls it: W=dW"
    )
    parser.add_argument(
        "--let", metavar="NAME=FORMULA", action="append", default=[], help="a name to use in both formulas"
    )
    parser.add_argument(
        "--domain",
        metavar="NAME=DOMAIN",
        action="append",
        default=[],
        help="where random points lie: low,high or real, positive, simplex, one-hot, unit, symmetric, "
        "spd, orthogonal",
    )
    parser.add_argument("--points", type=_count, metavar="N", help="random points to try (5)")
    parser.add_argument("--seed", type=_count, default=0, metavar="N", help="of the random points (0)")
    parser.add_argument("--symbolic", action="store_true", help="try to prove it with SymPy")
    parser.add_argument("--json", action="store_true", help=f"the report for machines; {IN_JSON}")
    parser.set_defaults(run=lambda options: (check_file if is_file(options.formula) else check)(options))


def _count(text: str, least: int = 0, most: float = math.inf) -> int:
    if not text.isdecimal() or not least <= int(text) <= most:
        bounds = "on" if most == math.inf else f"to {most}"
        raise argparse.ArgumentTypeError(f"expected a whole number from {least} {bounds}, got {text.strip()}")
    return int(text)


_digits = partial(_count, least=1, most=17)


def _name(text: str) -> str:
    if not text.isidentifier() or keyword.iskeyword(text):
        raise argparse.ArgumentTypeError(f"expected a name such as loss, got {text.strip()}")
    return text


DRAW = """\
examples:
  autograd-mini draw "softmax(z)[0]" z=1,2,3 -o graph.svg
  autograd-mini draw "(a*b + c)**2" a=2 b=-3 c=10 --contributions --theme dark -o - > graph.svg
"""
VIEW = """\
example:
  autograd-mini view "softmax(z)[0]" z=1,2,3 -o graph.html --open
"""


def _add_pictures(parser: argparse.ArgumentParser, output: str) -> None:
    _add_formula(parser)
    _add_names(parser, "the leaves of the graph")
    parser.add_argument(
        "-o",
        dest="output",
        metavar="FILE",
        default=output,
        help=f"its suffix is the format ({output}); - is the standard output",
    )
    parser.add_argument("--name", type=_name, help="what the formula's value is called")
    looks = parser.add_argument_group("options of draw")
    for flag, settings in draw_options():
        looks.add_argument(flag, **settings)
    parser.set_defaults(run=draw)


GRADING = """\
THE HAND-INS ARE EXECUTED, each in a process of its own that ends with the grader, with limits of time,
memory, processes, file sizes and, on Linux, of what it may write, trace and signal. They may read what you
may read: grade what strangers hand in on a machine that holds nothing else.

The reference is a Python file with a function loss(...), the point at = {"w": 0.5, ...} or several,
points = [{...}, ...], and, if not all that is handed in counts, wrt = ["w", "b"]. It may say what each
is worth, worth = {"w": 2}, else 1, and where random points lie, domain = {"w": "positive"}. In the place of
a loss may be the forward pass of a layer, forward(...); then gradients are those of sum(dout * forward(...))
and may ask for dout. The reference is never in the process of a hand-in.
A hand-in, .py or .ipynb, is loaded without its training, plots and prints, and has either
  d_w(...), d_b(...)    functions named after the parameters,
  gradient(...)         a function that returns {"w": ..., "b": ...},
  a class with forward and backward, two such functions, or one that returns (loss, gradients), or
  steps = {"e": function, "w": function, ...}
                        the derivation step by step, in its order; names are those of parameters or of
                        intermediates that the loss labels with named(...), and functions ask by name
                        for parameters and earlier steps.
A hand-in is right, wrong (the first wrong step, what went wrong there, and how many steps are right, or
right given its earlier steps, which costs nothing), inconclusive, or failed to run. It is judged by the
numbers that it answers at the point and at random ones, which are drawn anew for each. In [brackets] is
what you should look at: an engine in the place of a derivation, an answer that is written down.
All verdicts are there, and written, before mistakes are looked for.
"""
GRADE = """\
example:
  autograd-mini grade reference.py handins/ -o grades.csv -o results.json -o pages/

""" + STATUS.format(ok="all right", wrong="some are not")


def _add_grade(parser: argparse.ArgumentParser) -> None:
    limited = "" if find_spec("resource") else "; this system does not limit it"
    parser.add_argument("reference", metavar="REFERENCE.py", help="defines the loss and the points")
    parser.add_argument(
        "hand_ins", metavar="HANDIN", nargs="+", help="files, folders or patterns such as 'handins/*/hw1.py'"
    )
    parser.add_argument(
        "-o",
        dest="output",
        metavar="FILE",
        action="append",
        default=[],
        help="write a table for you (.csv), what Gradescope reads (.json; of several hand-ins by file), or a "
        "folder of pages for students, with index.html for you (any other name)",
    )
    parser.add_argument(
        "--tell", choices=TELL, default="cause", help="what pages and .json say of a mistake, at most (cause)"
    )
    parser.add_argument("--timeout", type=float, default=10.0, metavar="S", help="seconds for each (10)")
    parser.add_argument(
        "--memory", type=int, default=1024, metavar="MB", help=f"memory for each (1024){limited}"
    )
    parser.add_argument(
        "--diagnosis",
        type=float,
        default=2.0,
        metavar="S",
        help="seconds in which the mistake in each wrong parameter or step is looked for (2)",
    )
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="at a time (all cores)"
    )
    parser.add_argument("--seed", type=_count, metavar="N", help="of the random points (another each time)")
    parser.add_argument(
        "--resume", action="store_true", help="go on where the run with these -o was interrupted"
    )
    parser.set_defaults(run=grade)
