"""Experiments of papers, as functions that yield one row a setting. Solvers are arguments."""
