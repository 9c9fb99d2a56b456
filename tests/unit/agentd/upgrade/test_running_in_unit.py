"""What the unit of a release's program is told: systemd undoes the quotes of a file, then those of a command line."""

from agentd.upgrade.running_in_unit import environment_of


def test_words_are_quoted_for_the_file_and_for_the_command_line() -> None:
    assert environment_of(["journal", "copy"]) == 'ARGUMENTS="\\"journal\\" \\"copy\\""\n'


def test_letters_that_mean_something_to_either_are_escaped_for_it() -> None:
    assert environment_of(["a b"]) == 'ARGUMENTS="\\"a b\\""\n'
    assert environment_of(['"']) == 'ARGUMENTS="\\"\\\\\\"\\""\n'
    assert environment_of(["\\"]) == 'ARGUMENTS="\\"\\\\\\\\\\""\n'
    assert environment_of(["$x`y"]) == 'ARGUMENTS="\\"\\$x\\`y\\""\n'
