"""Comparisons of losses, budgets, seeds and models: planned in a file, run where missing, told in tables and plots."""
