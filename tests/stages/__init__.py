"""What tests/run does once the tools are there: build, run the stages, count."""
