"""The order of the verbs: four flows over an engine, the command line and the settings."""
