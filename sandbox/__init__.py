"""Local clouds that speak the providers' real protocols, and a seeded estate, for the demo and the tests."""
