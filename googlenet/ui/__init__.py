"""The Gradio page: layout, events, words, and the walk (`walk.html`, `walk.css`, `walk.js`)."""
