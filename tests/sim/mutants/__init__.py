"""Planted bugs, each a change of product code that its unit tests let pass; `planting` says how they are planted."""
