"""SQL that people write in manifests: cut into tokens, and refused unless it is one harmless SELECT.

Not here: running it, which only agents do.
"""
