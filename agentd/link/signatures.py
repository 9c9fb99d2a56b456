"""Checks Ed25519 signatures in a process of its own, because the daemon does without cryptography.

Run as a program it reads one JSON object from standard input: `public_key` and `signed`, a list of [bytes, signature],
all in hex. Exit codes: 0 all are good · 1 one is not · 3 it cannot tell.
"""

import asyncio
import json
import struct
import sys
from typing import Any

from agentd.core.witnessing import ShownHead

GOOD, BAD, UNKNOWN = 0, 1, 3
_CHECK_S_MAX = 30.0


def question(shown: ShownHead) -> bytes:
    """What is asked about a head of a new era: is the word that began it signed, and the head itself?"""
    head, begun = shown.head, shown.begun
    assert begun is not None, "only a new era is asked about"
    reason = begun.reason.encode()
    word = b"haulier-log-era-1" + struct.pack(">IQ", begun.era, begun.size) + begun.root
    word += struct.pack(">QI", begun.generation, len(reason)) + reason
    top = b"haulier-tree-head-1" + struct.pack(">IQ", head.era, head.size) + head.root
    signed = [[word.hex(), begun.signature.hex()], [top.hex(), head.signature.hex()]]
    return json.dumps({"public_key": begun.public_key.hex(), "signed": signed}).encode()


async def are_good(shown: ShownHead) -> bool:
    """Ask a child process; one that cannot tell counts as bad."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "agentd.link.signatures",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(_CHECK_S_MAX):
            await child.communicate(question(shown))
    except TimeoutError:
        child.kill()
        await child.wait()
    return child.returncode == GOOD


def main() -> int:
    """Answer the question on standard input; return the exit code."""
    try:
        return GOOD if are_signed(json.load(sys.stdin)) else BAD
    except (ValueError, KeyError, TypeError):
        return UNKNOWN


def are_signed(asked: dict[str, Any]) -> bool:
    """Answer a question in this process. Raises ``ValueError``, ``KeyError`` or ``TypeError`` where it is none."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(asked["public_key"]))
    pairs = [(bytes.fromhex(signed), bytes.fromhex(signature)) for signed, signature in asked["signed"]]
    try:
        for signed, signature in pairs:
            key.verify(signature, signed)
    except InvalidSignature:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
