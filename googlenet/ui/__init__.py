"""The Gradio page: layout, handlers, texts, and the page itself (`page.html`, `page.css`, `lesson.css`, `screens.css`, `js/`)."""
