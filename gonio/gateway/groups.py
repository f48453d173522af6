"""What several tasks failed with, as one error: a person is told one sentence, not a tree."""


def first_error(group: BaseException) -> BaseException:
    """Give the first error in a group, however deeply grouped; an error alone is itself."""
    while isinstance(group, BaseExceptionGroup):
        group = group.exceptions[0]
    return group
