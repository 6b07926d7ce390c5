"""Configuration: the dataset.yaml, the task that it names, and the files that a new dataset starts from."""
