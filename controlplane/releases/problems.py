"""What can be wrong with releases, keys and signed metadata."""


class ReleaseProblem(Exception):
    """Something that a person must mend; the message says what and where, `hint` how. Never holds a secret."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.hint = hint


class Unproven(ReleaseProblem):
    """Signed metadata that does not follow from what is trusted; `code` is stable."""

    def __init__(self, code: str, what: str, hint: str = "") -> None:
        super().__init__(what, hint)
        self.code = code
