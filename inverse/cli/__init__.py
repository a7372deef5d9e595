"""The command line: one module a verb, nothing heavy imported before a verb needs it."""
