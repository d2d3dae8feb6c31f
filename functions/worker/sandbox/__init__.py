"""The sandbox of a run: the namespaces that the CLI and its tools live in, made by bubblewrap.

`probe` says at the worker's start whether this machine can make one, `policy` says what one run sees, `bubblewrap`
writes both as a program that starts the CLI, and `system` lists what every sandbox has of the machine.
"""
