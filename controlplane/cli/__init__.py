"""The door for hands: the `haulier` command.

It speaks the operator service and nothing else: it opens no database, holds no state of its own and decides
nothing. What it knows about a control plane is one profile file (address, certificate authority, token).

- `main` builds the command tree and is the only place where an exception becomes a message and an exit code.
- `commands/` has one file per noun; each command asks, then hands the answer to a renderer.
- `render_*` turn contract messages into text and touch nothing else; `wording`, `states` and `terminal` are
  what they share.
- `connection`, `profile`, `problems`, `exits` are the way to the control plane and back.

Not here: what a manifest means (`controlplane.manifests`), what a migration may do (`controlplane.core`).
"""
