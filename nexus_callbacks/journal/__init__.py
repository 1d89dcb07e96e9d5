"""Journal: documents kept on disk on their way to a file, who follows them, and what is made of those left behind."""
