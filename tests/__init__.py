"""The tests, in a folder for each way of testing.

- `rules`: pure modules, values in and values out; no client, no server, done in seconds.
- `client`: the asynchronous client, in front of the emulator or of scripted replies, in this process.
- `sockets`: the two transports, in front of servers that send exact bytes.
- `sync`: the synchronous client, its threads, and the processes that it lives in.
- `tee`: confidential compute.
- `emulator`, `cli`: the embedded Venice, and the command line.
- `package`: what is shipped and promised: names, imports, types, pages, examples.
- `local`: the real model of the extra `local`. `interop`: programs that others wrote (`make interop`).
"""
