"""Files: what the layout wants is written here: groups, fields, growing columns, and the master of links."""
