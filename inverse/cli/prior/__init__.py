"""``inverse prior``: list, show, verify, add, export, convert, fit and train priors.

Each verb is a module or a function of `catalogue`. The verbs are imported when they are called.
"""
