"""What is moved in an installed system: CSV files to SQLite, one of a moment, one that takes its time."""

DATA = "/srv/haulier"
LONG_ROWS = 2_000_000

MANIFESTS = f"""
apiVersion: haulier/v1
kind: Datastore
metadata: {{name: exports}}
spec: {{engine: csv, root: "{DATA}/exports"}}
---
apiVersion: haulier/v1
kind: Datastore
metadata: {{name: staging}}
spec: {{engine: parquet, root: "{DATA}/staging"}}
---
apiVersion: haulier/v1
kind: Datastore
metadata: {{name: field}}
spec: {{engine: sqlite, path: "{DATA}/field/field.sqlite"}}
---
apiVersion: haulier/v1
kind: Workflow
metadata: {{name: copy}}
spec:
  steps:
    - name: extract
      kind: extract
      params: {{source: "${{migration.source}}", staging: "${{migration.staging}}"}}
    - name: load
      kind: load
      needs: [extract]
      params:
        input: "${{steps.extract.output}}"
        destination: "${{migration.destination}}"
        ifExists: "${{migration.ifExists}}"
        waive: "${{migration.waive}}"
    - name: validate
      kind: validate
      needs: [load]
      params:
        source: "${{migration.source}}"
        extracted: "${{steps.extract.output}}"
        loaded: "${{steps.extract.output}}"
        destination: "${{migration.destination}}"
        publishedFence: "${{steps.load.published_fence}}"
        testQueries: "${{migration.testQueries}}"
"""

POLICY = f"""
kinds = ["extract", "transform", "load", "validate"]
datastores = ["exports", "staging", "field"]
roots = ["{DATA}"]
"""

# Written by the box's own interpreter, so that nothing but the packages is needed inside.
_WRITER = """
import sys
name, rows = sys.argv[1], int(sys.argv[2])
with open(name, "w") as out:
    out.write("id,name,amount,at\\n")
    for i in range(1, rows + 1):
        out.write(f"{i},row number {i},{i % 9973}.{i % 100:02d},2026-01-{i % 28 + 1:02d}\\n")
"""


def rows(count: int) -> str:
    """A CSV file of so many rows, as text."""
    lines = (f"{i},row number {i},{i % 9973}.{i % 100:02d},2026-01-{i % 28 + 1:02d}" for i in range(1, count + 1))
    return "\n".join(("id,name,amount,at", *lines)) + "\n"


def writing(name: str, rows: int) -> str:
    """A shell script that writes a CSV file of so many rows."""
    return f"/usr/bin/python3.11 - {DATA}/exports/{name}.csv {rows} <<'END'\n{_WRITER}\nEND"


def moving(name: str, migration: str | None = None) -> str:
    """Manifests of a dataset of that name and of a migration that moves it."""
    return f"""
apiVersion: haulier/v1
kind: Dataset
metadata: {{name: {name}}}
spec:
  owner: installers
  datastore: exports
  object: {name}.csv
  key: [id]
  columns:
    - {{name: id, type: int64, required: true}}
    - {{name: name, type: text, required: true}}
    - {{name: amount, type: "decimal(12,2)", required: true}}
    - {{name: at, type: date, required: true}}
---
apiVersion: haulier/v1
kind: Migration
metadata: {{name: {migration or name}}}
spec:
  dataset: {name}
  workflow: copy
  to: {{datastore: field, object: {migration or name}}}
  staging: staging
"""
