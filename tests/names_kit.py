"""What the tests of completion share: names that a session could know."""

from __future__ import annotations

from sls_jupyter.notebook.known import Names
from sls_jupyter.session.column_types import ColumnType

PATIENTS = {
    "age": ColumnType("int64"),
    "sex": ColumnType("category"),
    "smoker": ColumnType("bool"),
    "weight, kg": ColumnType("float64"),
    "it's": ColumnType("str"),
    "count": ColumnType("int64"),
    "visit": ColumnType("datetime64", by_name=False),  # a level of the index
}
NAMES = Names(
    columns={"patients": PATIENTS, "clinic/day-visits": {"day": ColumnType("date32")}},
    code=("risk_model",),
    purposes={
        "patients": ("audit", "risk study", "who's at risk, in $US"),
        "clinic/day-visits": ("risk study", "training"),
        "risk_model": (),
    },
    spelled={"hospital/patients": "patients", "sha256:" + "a" * 64: "patients"},
    requests=("abc123",),
    runs=("def456",),
    personas=("analyst", "hospital"),
    people=("analyst", "hospital", "Dr. Weber"),
    hosts=("local",),
    sessions={"study": {"p": PATIENTS}},
)
