"""How everything looks: the terminal, plain text, JSON, numbers and durations in words, states, errors and exit codes.

Not here: tables of one subject, which lie in that subject's folder.
"""
