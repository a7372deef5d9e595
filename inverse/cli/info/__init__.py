"""``inverse info``: what a file is and which recipes take it.

`describe` gives the facts as plain data. `suggest` gives the recipes with their reasons.
"""
