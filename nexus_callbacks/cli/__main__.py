"""``python -m nexus_callbacks.cli``: the command, where its script is not on the path."""

from nexus_callbacks.cli import main

main()
