"""What looks at this repository itself."""
