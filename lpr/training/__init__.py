"""How the reader's own models are made: plates drawn, networks trained, weights exported."""
