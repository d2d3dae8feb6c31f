"""Git around a run: the clone before it, and afterwards the difference, the commit and the push.

Whatever a run has written is hostile to git too: settings, hooks, filters and attributes of a repository name programs
that git executes. So each step runs in a fresh sandbox, with a git directory and settings of the gateway's own, and
never in the worker or in the sandbox of the run. `shell` makes the sandbox; each of the other modules is one step.
"""
