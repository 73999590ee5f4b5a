"""The suite: what the package promises, told in sentences."""
