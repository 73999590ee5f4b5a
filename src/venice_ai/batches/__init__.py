"""Batches of any size that lose nothing when they are interrupted: the journal, and the driver that sends and keeps."""
