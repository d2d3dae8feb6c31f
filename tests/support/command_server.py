"""Runs commands of `claude-gateway`, each in a fork of this process, which has imported all of them.

It reads requests from the socket whose descriptor is its argument: JSON with the command, and three descriptors. It
answers each with the command's exit status, and ends with the socket.
"""

import json
import os
import socket
import sys
from importlib import import_module

from local.cli import _MODULES, main

_MOST_BYTES = 1 << 20


def serve(server: socket.socket) -> None:
    """Answer requests; return in each fork, where the command is to run."""
    while True:
        message, descriptors, _, _ = socket.recv_fds(server, _MOST_BYTES, 3)
        if not message:
            os._exit(0)
        request = json.loads(message)
        child = os.fork()
        if child == 0:
            server.close()
            for number, descriptor in enumerate(descriptors):
                os.dup2(descriptor, number)
                os.close(descriptor)
            os.chdir(request["folder"])
            os.environ.clear()
            os.environ.update(request["environment"])
            sys.argv = ["claude-gateway", *request["arguments"]]
            return
        for descriptor in descriptors:
            os.close(descriptor)
        _, status = os.waitpid(child, 0)
        server.send(str(os.waitstatus_to_exitcode(status)).encode())


if __name__ == "__main__":
    for module in _MODULES.values():
        import_module(module)
    serve(socket.socket(fileno=int(sys.argv[1])))
    main()
