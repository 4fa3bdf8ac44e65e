"""What a run leaves: files, a signed statement over them, a chain of statements, and the means to check it all."""
