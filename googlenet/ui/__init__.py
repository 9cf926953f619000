"""The Gradio page: what starts and limits it, its messages and sentences, and the page itself (`page/`)."""
