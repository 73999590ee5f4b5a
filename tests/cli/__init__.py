"""Tests of the command, run as people run it: against an emulator on a real socket."""
