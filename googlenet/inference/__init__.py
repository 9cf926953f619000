"""From prepared pictures and their questions to Explanations: the queue of requests, the pass, and the device that runs it."""
