"""What was done, so that it can be explained, compared and done again.

``record`` is how one result was made, ``store`` where all runs are kept. Nothing is imported here:
a list of runs needs neither numpy nor the prompts, which ``record`` stands on.
"""
