"""The contract with one engine and one step kind more, generated as `make proto` does, beside the real one."""

import shutil
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).parents[3]
CONTRACT = ROOT / "proto" / "haulier" / "v1"
_STORE = """
// Lines of fields with a bar between them, in files below one directory.
message LinesStore {
  // Absolute directory on the host. Required.
  string root = 1;
  // Permission bits of files that are made there.
  string file_mode = 2;
  // Group of files that are made there.
  string group = 3;
}

// A named place that holds datasets"""
_KIND = """
// Parameters of `count_lines`.
message CountLinesParams {
  // Where the lines are, and their number is noted. Required.
  DatasetLocation where = 1;
}

// Result of `count_lines`.
message CountLinesResult {
  // How many lines there are.
  uint64 rows = 1;
}
"""


def generate(home: Path) -> None:
    """Write the generated modules below `home`, which then stands before the real ones on the path of modules."""
    made = home / "haulier" / "v1"
    shutil.copytree(CONTRACT, made)
    path = made / "kinds.proto"
    text = path.read_text()
    text = text.replace("\n// A named place that holds datasets", _STORE, 1)
    last = "    PostgresqlStore postgresql = 6;\n"
    assert last in text
    text = text.replace(last, f"{last}    LinesStore lines = 99;\n", 1)
    path.write_text(text + _KIND)
    code = protoc.main(["protoc", f"-I{home}", f"--python_out={home}", str(path)])
    assert code == 0, "the made-up contract does not compile"
