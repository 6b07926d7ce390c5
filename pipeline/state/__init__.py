"""State: the Delta tables of a dataset, its folders and its locks; files are there as a whole or not at all."""
