"""Every loop of the control plane stands in `controlplane/loops`, in a file of its name."""

import ast
from pathlib import Path

from controlplane.loops import driver

ROOT = Path(__file__).parents[2]
LOOPS = ROOT / "controlplane" / "loops"


def started() -> dict[str, str]:
    """Name of each loop that the composition root starts → the class whose pass it is."""
    calls = [
        node
        for node in ast.walk(ast.parse((ROOT / "controlplane" / "serve.py").read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == driver.Loop.__name__
    ]
    return {ast.literal_eval(call.args[0]): class_of(call.args[1]) for call in calls}


def class_of(run: ast.expr) -> str:
    """`AgentWatcher(…).run` and `self._keeper().run` → what is called before `.run`."""
    assert isinstance(run, ast.Attribute) and run.attr == "run", ast.unparse(run)
    assert isinstance(run.value, ast.Call), ast.unparse(run)
    return ast.unparse(run.value.func)


def test_each_loop_that_is_started_stands_in_a_file_of_its_name_and_no_other_file_is_there() -> None:
    files = {path.stem for path in LOOPS.glob("*.py")} - {"__init__", "driver"}
    assert set(started()) == files
    for name, called in started().items():
        tree = ast.parse((LOOPS / f"{name}.py").read_text())
        defined = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
        wanted = "".join(word.capitalize() for word in name.split("_"))
        assert wanted in defined and called in (wanted, f"self._{name}"), (name, called)
