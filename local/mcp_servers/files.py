"""An MCP server for the files of one directory: `python -m local.mcp_servers.files [DIRECTORY]`.

Nothing outside the directory is read or written, even if a path contains `..` or symbolic links.
"""

import sys
from pathlib import Path

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError

_LARGEST = 1 << 20  # maximum bytes of a file that the model reads or writes
_MOST = 500  # maximum names in a listing

server = MCPServer("files")
_root = Path(__file__).with_name("sandbox").resolve()


def _within(path: str) -> Path:
    found = (_root / path.lstrip("/")).resolve()
    if not found.is_relative_to(_root):
        raise ToolError(f"{path} is outside the directory")
    return found


@server.tool()
def list_files(folder: str = ".") -> list[str]:
    """List the paths of the files in a folder and its subfolders."""
    top = _within(folder)
    if not top.is_dir():
        raise ToolError(f"{folder} is not a folder")
    return sorted(str(path.relative_to(_root)) for path in top.rglob("*") if path.is_file())[:_MOST]


@server.tool()
def read_file(path: str) -> str:
    """Read a text file."""
    file = _within(path)
    if not file.is_file():
        raise ToolError(f"{path} is not a file")
    if file.stat().st_size > _LARGEST:
        raise ToolError(f"{path} has more than {_LARGEST} bytes")
    return file.read_text(encoding="utf-8", errors="replace")


@server.tool()
def search_files(text: str) -> list[str]:
    """Find the lines of all files that contain a text: `path:number: line`."""
    found = []
    for path in sorted(_root.rglob("*")):
        if path.is_file() and path.stat().st_size <= _LARGEST:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            name = path.relative_to(_root)
            found += [
                f"{name}:{number}: {line}" for number, line in enumerate(lines, 1) if text.lower() in line.lower()
            ]
    return found[:_MOST]


@server.tool()
def write_file(path: str, text: str) -> str:
    """Write a text file, replacing its content."""
    if len(text.encode()) > _LARGEST:
        raise ToolError(f"the text has more than {_LARGEST} bytes")
    file = _within(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return f"{path} written"


if __name__ == "__main__":
    if sys.argv[1:]:
        _root = Path(sys.argv[1]).resolve()
    server.run()
