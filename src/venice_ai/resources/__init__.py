"""The parts of the API; the path follows the call."""
