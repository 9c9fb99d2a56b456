"""Units that must say the same: what is judged in one sandbox lives in the other, and two that do one job are alike."""

from pathlib import Path

UNITS = Path(__file__).parents[2] / "packaging" / "systemd"
# How each is run, which differs; everything else in [Service] is sandbox.
HOW_IT_RUNS = {
    *("Type", "NotifyAccess", "ExecStart", "ExecStartPost", "ExecReload", "Restart", "RestartSec", "TimeoutStartSec"),
    *("TimeoutStopSec", "WatchdogSec", "KillMode", "KillSignal", "EnvironmentFile", "StandardOutput", "StandardError"),
    "LoadCredential",
}


def sandbox(unit: str) -> list[str]:
    """Every setting of a service, in order, but those of how it is run."""
    text = (UNITS / f"{unit}.service").read_text(encoding="utf-8")
    lines = text.split("[Service]\n", 1)[1].split("\n[", 1)[0].splitlines()
    settings = [line for line in lines if line and not line.startswith("#")]
    return sorted(line for line in settings if line.partition("=")[0] not in HOW_IT_RUNS)


def test_a_release_is_judged_in_the_sandbox_that_it_will_live_in() -> None:
    lived_in = sandbox("haulier-agentd")
    assert "ProtectSystem=strict" in lived_in
    assert "User=haulier-agent" in lived_in
    assert sandbox("haulier-agentd-program@") == lived_in


def test_the_updater_and_the_rescue_are_held_alike() -> None:
    assert "PrivateNetwork=yes" in sandbox("haulier-updater")
    assert sandbox("haulier-agentd-rescue") == sandbox("haulier-updater")
