"""Runs on disk: the folder of one, finding one among many, checkpoints, and one at a glance."""
