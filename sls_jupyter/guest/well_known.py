"""Types of exceptions whose names may leave: Python's, and those of the libraries that people compute with.

A cell can name a class after anything. So a name leaves only if it stands here; an exception of another class
leaves as the nearest of its bases that does, by the method resolution order that the program tells.
"""

from __future__ import annotations

import builtins
from collections.abc import Iterable

MAX_BASES = 50  # of a method resolution order

_LIBRARIES = (
    # pandas.errors
    *("AbstractMethodError", "AttributeConflictWarning", "CSSWarning", "ChainedAssignmentError", "ClosedFileError"),
    *("CategoricalConversionWarning", "DataError", "DatabaseError", "DtypeWarning", "DuplicateLabelError"),
    *("EmptyDataError", "IncompatibilityWarning", "IncompatibleFrequency", "IndexingError", "IntCastingNaNError"),
    *(
        "InvalidColumnName",
        "InvalidComparison",
        "InvalidIndexError",
        "InvalidVersion",
        "LossySetitemError",
        "MergeError",
    ),
    *("NoBufferPresent", "NullFrequencyError", "NumExprClobberingError", "NumbaUtilError", "OptionError"),
    *("OutOfBoundsDatetime", "OutOfBoundsTimedelta", "ParserError", "ParserWarning", "PerformanceWarning"),
    *(
        "PossibleDataLossError",
        "PossiblePrecisionLoss",
        "PyperclipException",
        "SpecificationError",
        "UndefinedVariableError",
    ),
    *("UnsortedIndexError", "UnsupportedFunctionCall", "ValueLabelTypeMismatch", "Pandas4Warning", "Pandas5Warning"),
    # numpy.exceptions, numpy.linalg
    *("AxisError", "ComplexWarning", "DTypePromotionError", "LinAlgError", "TooHardError", "VisibleDeprecationWarning"),
    "RankWarning",
    # pyarrow
    *("ArrowCancelled", "ArrowCapacityError", "ArrowException", "ArrowIndexError", "ArrowInvalid", "ArrowKeyError"),
    *("ArrowMemoryError", "ArrowNotImplementedError", "ArrowSerializationError", "ArrowTypeError"),
    # scikit-learn, scipy, statsmodels
    *(
        "NotFittedError",
        "ConvergenceWarning",
        "DataConversionWarning",
        "InvalidParameterError",
        "UndefinedMetricWarning",
    ),
    *("FitFailedWarning", "LinAlgWarning", "IntegrationWarning", "OptimizeWarning", "PerfectSeparationError"),
    *("ConvergenceError", "MissingDataError", "ModelWarning", "ValueWarning"),
    # polars
    *("ColumnNotFoundError", "ComputeError", "InvalidOperationError", "NoDataError", "OutOfBoundsError", "PolarsError"),
    *("SchemaError", "SchemaFieldNotFoundError", "ShapeError", "StructFieldNotFoundError", "DuplicateError"),
    # the standard library
    *("BrokenProcessPool", "CalledProcessError", "CancelledError", "Clamped", "DecimalException", "DivisionByZero"),
    *(
        "Empty",
        "Full",
        "Inexact",
        "InvalidOperation",
        "InvalidStateError",
        "JSONDecodeError",
        "Overflow",
        "PatternError",
    ),
    *("PicklingError", "PickleError", "StatisticsError", "TimeoutExpired", "Underflow", "UnpicklingError"),
    *("UnsupportedOperation", "ZoneInfoNotFoundError"),
)
EXCEPTIONS = frozenset(_LIBRARIES) | {
    name for name, value in vars(builtins).items() if isinstance(value, type) and issubclass(value, BaseException)
}


def known_exception(name: str, bases: Iterable[str] = ()) -> str:
    """The name of an exception's class if it is known, that of its nearest known base, or ``Exception``."""
    nearest = (one for one in (name, *bases) if one in EXCEPTIONS and one not in ("BaseException", "Exception"))
    return next(nearest, "Exception")
