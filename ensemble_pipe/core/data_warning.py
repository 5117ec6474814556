"""The warning of data that is read otherwise than it may be meant."""


class DataWarning(UserWarning):
    """Data was read otherwise than it may be meant; the command line prints the message alone."""
