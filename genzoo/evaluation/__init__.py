"""Measuring what a model learnt, the same way for every model. Importing this package imports nothing heavy."""
