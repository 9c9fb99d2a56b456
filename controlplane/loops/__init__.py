"""What runs by itself: one thin loop a file, each a pass that may run twice, late or never without harm.

``driver`` runs them, on a period or a nudge, and keeps each one's last run and last error for `haulier status`. A loop
holds no truth: whatever it does it reads from the store. A new loop is a file here and a line in ``serve``.

Not here: what a pass does in a transaction (``service``), how late a loop may be (``service.health``).
"""
