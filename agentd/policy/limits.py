"""How much one attempt may take of this host. Zero limits nothing."""

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one attempt, all of its processes together. Each field is a key of the policy file."""

    # Free space that must be left on a file system before a step starts there.
    disk_free_min_bytes: int = 0
    # Longest file that a step may write.
    file_bytes_max: int = 0
    # Bytes that an attempt may write to storage in all.
    written_bytes_max: int = 0
    # Rows, or other units of work, that an attempt may report.
    rows_max: int = 0
    run_s_max: float = 0.0
    # Processor time, user and system.
    cpu_s_max: float = 0.0
    memory_bytes_max: int = 0
    processes_max: int = 0
    # Processor cores that may be used at once.
    cores_max: float = 0.0
    # Bytes a second, read and written each, at the devices that hold the roots.
    io_bytes_per_s_max: int = 0


WHOLE = tuple(each.name for each in fields(Limits) if each.type in (int, "int"))
FRACTIONS = tuple(each.name for each in fields(Limits) if each.name not in WHOLE)
KEYS = tuple(each.name for each in fields(Limits))
