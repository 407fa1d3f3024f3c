"""The weights the reader carries; README.md says what they are and what they can't do."""
