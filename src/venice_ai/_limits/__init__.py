"""The limits of an account, as pure rules: time is an argument, in seconds of a monotonic clock; nothing waits or sends."""
