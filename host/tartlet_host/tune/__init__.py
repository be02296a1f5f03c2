"""Searching for a recipe's values: many short trainings, the hopeless ones cut short."""
