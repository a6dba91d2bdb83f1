"""Paints pictures, makes thumbnails of them and puts these into an album. Standard library only."""
