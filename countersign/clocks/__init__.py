"""The four clocks of a finding (detect, escalate, rotate, revoke), replayed from what is on file: docs/how-to/read-the-clocks.md."""
