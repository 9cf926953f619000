"""The one error that a person sees as a sentence; everything else is a programming error and stays loud."""


class UserError(Exception):
    """A person's mistake, or the world's: one sentence that names the thing and the remedy. Shown as it is, never a traceback.

    `UserError("{name} is no picture.", name="a.txt")` keeps the sentence's template and values apart, so that the page can
    say the same in another language (`googlenet.ui.words`).
    """

    def __init__(self, template: str, **values: object) -> None:
        super().__init__(template.format(**values) if values else template)
        self.template = template
        self.values = values
