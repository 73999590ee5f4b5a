"""The limits of an account: how fast requests are sent, how many may fail, when a failing server is left alone.

The rules are pure: they take the time as an argument, in seconds of a monotonic clock, and neither wait nor send.
"""
