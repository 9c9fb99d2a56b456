"""What the unit of a release's program is told, and what is kept of what it says; the unit is in `make test-system`.

systemd undoes the quotes of the file, then those of the command line.
"""

import subprocess
from pathlib import Path

from agentd.updater.running import OUTPUT_BYTES_MAX
from agentd.updater.running_in_unit import Pipe, environment_of


def test_words_are_quoted_for_the_file_and_for_the_command_line() -> None:
    assert environment_of(["journal", "copy"]) == 'ARGUMENTS="\\"journal\\" \\"copy\\""\n'


def test_letters_that_mean_something_to_either_are_escaped_for_it() -> None:
    assert environment_of(["a b"]) == 'ARGUMENTS="\\"a b\\""\n'
    assert environment_of(['"']) == 'ARGUMENTS="\\"\\\\\\"\\""\n'
    assert environment_of(["\\"]) == 'ARGUMENTS="\\"\\\\\\\\\\""\n'
    assert environment_of(["$x`y"]) == 'ARGUMENTS="\\"\\$x\\`y\\""\n'


def test_the_end_of_what_a_program_says_is_kept(tmp_path: Path) -> None:
    pipe = Pipe(tmp_path / "output")
    subprocess.run(
        f"head -c {4 * OUTPUT_BYTES_MAX} /dev/zero >output; echo end >output", shell=True, cwd=tmp_path, check=True
    )
    said = pipe.end()
    assert len(said) == OUTPUT_BYTES_MAX
    assert said.endswith("\0end\n")
    assert list(tmp_path.iterdir()) == []


def test_a_program_that_never_began_has_said_nothing(tmp_path: Path) -> None:
    (tmp_path / "output").write_text("of another time")
    assert Pipe(tmp_path / "output").end() == ""
