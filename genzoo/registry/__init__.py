"""What is installed: plugins found and loaded one by one, what they give by name, and a plugin to begin with."""
