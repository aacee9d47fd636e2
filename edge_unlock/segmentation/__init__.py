"""From samples to utterances: what is speech, and whether it is fit to be judged."""
