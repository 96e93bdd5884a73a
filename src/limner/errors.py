"""Everything limner raises on purpose.

::

    LimnerError                 what was expected, what came, what to do next
    ├── InputError              the caller can mend it                    (CLI exit code 2)
    │   ├── PromptError         a point, box, mask, phrase or example that can't be meant
    │   ├── SuiteError          a suite of prompt tests that can't be meant: its file and line
    │   ├── RecipeError         a recipe of a sweep that can't be meant: its file and line
    │   ├── FileError           a file of text that can't be read, or isn't what it should be
    │   │   └── FileMissing     there is no such file
    │   ├── ImageError          a file or array that is no usable image
    │   ├── OptionError         a setting out of range, or with no effect on this model
    │   ├── OutputError         a place that can't be written, or is already taken
    │   └── StoreError          runs that can't be kept, read or found
    ├── ModelError              the model asked for can't answer           (CLI exit code 2)
    │   ├── UnknownModel        no such name; the nearest names are in the message
    │   ├── UnsupportedPrompt   this model can't take this kind of prompt; which can
    │   ├── WeightsMissing      not on this machine; how to get them, what works now
    │   ├── UnsafeWeights       a pickle, or files that differ from the lock
    │   ├── LicenceRefused      barred by --commercial-safe
    │   ├── MissingExtra        an optional package isn't installed; its name
    │   ├── NoAnswer            a model or its server gave none that can be used
    │   └── OutOfMemory         what to lower
    └── ResultError             the work was done and its result was refused (CLI exit code 1)
        ├── NothingFound        --fail-if-empty and there was nothing
        └── StillVisible        a redaction after which the thing is found again

A message is one sentence or two, meant to be read by the person who typed the command.
"""


class LimnerError(Exception):
    """Base of all errors raised on purpose; ``exit_code`` is what the command line returns."""

    exit_code = 2


class InputError(LimnerError):
    """The caller can mend it."""


class PromptError(InputError):
    """A point, box, mask, phrase or example that can't be meant."""


class SuiteError(InputError):
    """A suite of prompt tests that can't be meant; the message begins with its file and line."""


class RecipeError(InputError):
    """A recipe of a sweep that can't be meant; the message begins with its file and line."""


class FileError(InputError):
    """A file that can't be read, is larger or deeper than it may be, or no JSON, TOML or YAML."""


class FileMissing(FileError):
    """There is no such file."""


class ImageError(InputError):
    """A file or array that is no usable image."""


class OptionError(InputError):
    """A setting out of range, of the wrong type, or with no effect on this model."""


class OutputError(InputError):
    """A place that can't be written, or is already taken."""


class StoreError(InputError):
    """A store of runs that can't be opened, read or written, or a run that isn't in it."""


class ModelError(LimnerError):
    """The model asked for can't answer."""


class UnknownModel(ModelError):
    """No such name in the catalog."""


class UnsupportedPrompt(ModelError):
    """This model can't take this kind of prompt."""


class WeightsMissing(ModelError):
    """The weights are not on this machine."""


class UnsafeWeights(ModelError):
    """Weights that are pickled, or that differ from the lock file."""


class LicenceRefused(ModelError):
    """The model's licence bars what the caller asked to keep possible."""


class MissingExtra(ModelError):
    """An optional package isn't installed."""


class NoAnswer(ModelError):
    """A model, or its server, gave no answer that can be used, or may be asked no more."""


class OutOfMemory(ModelError):
    """The machine's or the device's memory ran out."""


class ResultError(LimnerError):
    """The work was done and its result was refused."""

    exit_code = 1


class NothingFound(ResultError):
    """Nothing was found and the caller asked for that to be a failure."""


class StillVisible(ResultError):
    """After redaction the detector still finds what was to be hidden."""
