"""One file or folder per provider; each reads its source and yields the typed records of `countersign.identity`."""
