"""What the server imports that slots are forked from; it keeps out of /proc as they do."""

from functions.worker import processes, slot

__all__ = ["slot"]

processes.name_this("cg-forkserver")
processes.hide_memory()
