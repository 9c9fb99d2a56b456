"""A migration to the made-up engine, counted by the made-up kind: from manifests to processes. Argument: HOME."""

import asyncio
import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from haulier.v1 import agent_pb2 as pb

from agentd import __main__ as program
from controlplane.manifests import parsing, validating
from controlplane.manifests.compiling import params
from controlplane.manifests.compiling import plans as compiling
from controlplane.manifests.text.findings import SourceFile
from tests.contract.made_up.declarations import declare_on_agent, declare_on_control_plane, k
from tests.integration.agentd.world import World, world

MANIFESTS = """
apiVersion: haulier/v1
kind: Datastore
metadata: {{name: files}}
spec: {{engine: csv, root: {home}/source}}
---
apiVersion: haulier/v1
kind: Datastore
metadata: {{name: staging}}
spec: {{engine: parquet, root: {home}/staging}}
---
apiVersion: haulier/v1
kind: Datastore
metadata: {{name: lines}}
spec: {{engine: lines, root: {home}/lines}}
---
apiVersion: haulier/v1
kind: Dataset
metadata: {{name: crew}}
spec:
  owner: me
  datastore: files
  object: crew.csv
  key: [id]
  columns: [{{name: id, type: int64}}, {{name: name, type: text}}]
---
apiVersion: haulier/v1
kind: Workflow
metadata: {{name: counted}}
spec:
  steps:
    - {{name: extract, kind: extract, params: {{source: "${{migration.source}}", staging: "${{migration.staging}}"}}}}
    - name: load
      kind: load
      needs: [extract]
      params: {{input: "${{steps.extract.output}}", destination: "${{migration.destination}}"}}
    - {{name: count, kind: count_lines, needs: [load], params: {{where: "${{migration.destination}}"}}}}
---
apiVersion: haulier/v1
kind: Migration
metadata: {{name: crew-to-lines}}
spec: {{dataset: crew, to: {{datastore: lines, object: crew.lines}}, staging: staging, workflow: counted}}
"""
POLICY = """
kinds = ["extract", "load", "count_lines"]
roots = ["{home}/source", "{home}/staging", "{home}/lines"]
[datastores.files]
engine = "csv"
access = "read"
[datastores.staging]
engine = "parquet"
[datastores.lines]
engine = "lines"
paths = ["{home}/lines"]
"""
AGENT = Path(__file__).with_name("agent.py")


def planned(text: str) -> Any:
    """The manifests as a plan; they must be without a fault."""
    parsed = parsing.parse([SourceFile("all.yaml", text.encode())])
    assert parsed.findings == (), parsed.findings
    found = validating.validate(parsed.documents, {})
    assert found == (), found
    specs: Any = {document.key: document.spec for document in parsed.documents}
    stores = {name: spec for (kind, name), spec in specs.items() if kind == "Datastore"}
    own, workflow = specs["Migration", "crew-to-lines"], specs["Workflow", "counted"]
    return compiling.compile_migration("crew-to-lines", own, workflow, specs["Dataset", "crew"], stores)


async def steps_run(it: World, plan: Any) -> dict[str, pb.AttemptResult]:
    """Every step in the real daemon, the parameters of each made from the results before it."""
    await it.start_agent()
    await it.listener.until(lambda: "count_lines" in it.listener.hellos[-1].kinds, "the made-up kind")
    results: dict[str, pb.AttemptResult] = {}
    for number, step in enumerate(plan.steps, 1):
        so_far = {name: each.result for name, each in results.items()}
        data = params.compile_params(step.kind, step.template, so_far)
        fields = {"step_id": f"step_{number}", "target": step.target}
        await it.listener.grant(f"att_{number}_1", step.kind, data, **fields)
        results[step.name] = await it.listener.result(f"att_{number}_1")
        assert results[step.name].outcome == pb.ATTEMPT_OUTCOME_SUCCEEDED, (step.name, results[step.name])
    return results


def command(*arguments: str) -> tuple[int, str]:
    """Exit code and output of `haulier-agentd` with the made-up declarations."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        code = program.main(list(arguments))
    return code, said.getvalue()


async def main(home: Path) -> None:
    """The whole way, checked at every turn."""
    for name in ("source", "staging", "lines"):
        (home / name).mkdir()
    (home / "source" / "crew.csv").write_text("id,name\n1,Ada\n2,Grace\n")
    plan = planned(MANIFESTS.format(home=home))
    async with world(home, policy=POLICY.format(home=home)) as it:
        it.command = [sys.executable, str(AGENT), "run"]
        it.python_path = [each for each in sys.path if each]
        results = await steps_run(it, plan)
        assert k.CountLinesResult.FromString(results["count"].result).rows == 2
        published, note = home / "lines" / "crew.lines", home / "lines" / "count.lines"
        assert published.read_text() == '"id"|"name"\n"1"|"Ada"\n"2"|"Grace"\n', published.read_text()
        assert note.read_text() == "rows|\n2|\n"

        # The policy judges the new engine, and a place that it does not allow.
        step = home / "step.json"
        where = {"datastore": {"name": "lines", "lines": {"root": "/etc"}}, "object": "x.lines"}
        step.write_text(json.dumps({"kind": "count_lines", "params": {"where": where}}))
        code, said = await asyncio.to_thread(command, "check", "--policy", str(it.policy), "--would-run", str(step))
        assert code == program.NOT_READY and "outside the roots" in said, said

        # So does the step's own process, for a name that the policy does not list.
        other = k.CountLinesParams()
        json_format.ParseDict({"where": where | {"datastore": {"name": "other", "lines": {"root": str(home)}}}}, other)
        await it.listener.grant("att_9_1", "count_lines", other.SerializeToString())
        refused = await it.listener.result("att_9_1")
        assert refused.failure.code == "policy_refused", refused

        # Inspection proposes what was published, and the control plane takes the proposal.
        code, said = await asyncio.to_thread(command, "inspect", str(published), "--manifests", "--owner", "me")
        assert code == program.OK, said
        proposed = parsing.parse([SourceFile("proposed.yaml", said.encode())])
        assert proposed.findings == (), (proposed.findings, said)
        assert "engine: lines" in said
    print("the whole way")


if __name__ == "__main__":
    declare_on_agent()
    declare_on_control_plane()
    asyncio.run(main(Path(sys.argv[1])))
