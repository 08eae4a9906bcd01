"""From what was asked for to a trained run: the plan, the story, what a plugin sees, what happens between two steps."""
