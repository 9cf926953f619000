"""The errors that a person sees as a sentence. Everything else is a programming error and stays loud."""


class UserError(Exception):
    """An expected failure (bad input, missing file, no network) with a message for the user.

    The message is one sentence that names the thing and the remedy. It is shown as it is, never as a traceback.
    `UserError("{name} is not a picture.", name="a.txt")` keeps the sentence's template and its values apart, so that the page
    can say the same in another language (`googlenet.ui.texts`).
    """

    def __init__(self, template: str, **values: object) -> None:
        super().__init__(template.format(**values) if values else template)
        self.template = template
        self.values = values


class PictureError(UserError):
    """A picture cannot be read."""


class QuestionError(UserError):
    """A question names a head or a class that these weights do not have."""


class WeightsError(UserError):
    """Weights cannot be found, fetched, read or written."""
