"""An application in which nobody marked a task."""
