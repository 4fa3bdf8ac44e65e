"""What people are told by message: that an agreed time runs out, and once a day what is theirs. docs/how-to/be-told.md."""
