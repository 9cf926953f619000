"""From prepared pictures and their questions to Explanations: the queue of requests, the pass, the device that runs it."""
