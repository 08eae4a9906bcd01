"""The `genzoo` command: parse, call, print. Nothing else. What is heavy is imported when it is needed."""

from genzoo.cli.command import cli, main

__all__ = ["cli", "main"]
