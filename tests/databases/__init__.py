"""Real database servers for tests: each private to one test session, in a folder and on a port of its own."""
