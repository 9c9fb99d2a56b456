"""Rows and what they mean, by subject, shared by the stores.

A store selects the columns that a subject's tuple of names lists, in that order, and reads them by those names: an
order that is written in one place cannot come apart.
"""
