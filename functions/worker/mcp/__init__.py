"""The MCP servers of a slot: they run outside the sandbox, and each run reaches its own over the CLI's pipes.

`broker` offers the servers of one run to the CLI, and `link` is one run's connection with one of them. `exchange` has
the requests in flight at a server, `stdio` and `web` reach it, and `messages` reads what it writes, within bounds.
`shared` keeps the servers that serve one run after another, and `reading` reads the tools of each for the router, by
requests of the gateway itself (`asking`).
"""
