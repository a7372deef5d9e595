"""Shipped recipes: one YAML file a task, data only."""
