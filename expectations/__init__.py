"""One file per control: a record that says what must hold, over facts that are computed elsewhere."""
