"""The order of the verbs: four flows on an engine, the command line and the settings."""
