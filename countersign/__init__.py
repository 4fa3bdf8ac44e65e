"""Countersign: the customer's side of a partner-run identity programme."""
