"""Label errors: which rows would an annotator most likely correct, by a classifier or by what the text says?"""
