"""Layout: definition + bindings + documents so far → what is to be added to the file. No room of it opens one."""
