"""``papermill --engine safestream``: an ordinary notebook, run whole as one SafeStream.

Inputs, purpose and outputs are in the notebook's own metadata (member ``sls``); parameters are papermill's, as code of its
injected cell. The persona is ``SLS_PERSONA``. Nothing is launched before every owner has allowed the whole notebook.
"""

from __future__ import annotations

from typing import Any

from papermill.engines import Engine

from sls_jupyter.notebook import executed
from sls_jupyter.notebook.sessions import session_for
from sls_jupyter.notebook.whole import request_of
from sls_jupyter.safestream.run import Run
from sls_jupyter.session.notebooks import NotebookCell, require_form


class SafeStreamEngine(Engine):  # type: ignore[misc]  # papermill is untyped to us
    """Executes the cells of a notebook in a session."""

    @classmethod
    def execute_managed_notebook(
        cls, nb_man: Any, kernel_name: str, *, sls_persona: str | None = None, sls_wait: bool = False, **_: Any
    ) -> None:
        """What papermill calls.

        Args:
            nb_man: papermill's manager of the notebook.
            sls_persona: whose session; ``SLS_PERSONA``, or else ``me``, by default.
            sls_wait: wait for people who have to approve.

        Raises:
            SlsError: it was not allowed, or could not be asked for; nothing ran. How a cell failed is in the notebook,
                and papermill raises for it.
        """
        del kernel_name
        session, notebook = session_for(sls_persona), nb_man.nb
        require_form(notebook)
        executed.clear(notebook)
        asked = request_of(session, notebook, str(notebook.metadata.get("papermill", {}).get("input_path", "notebook")))
        session.ask_for(asked, wait_for_approval=sls_wait).wait()

        def started(cell: NotebookCell, run: Run) -> None:
            node, outputs = notebook.cells[cell.place], executed.Outputs(run)
            nb_man.cell_start(node, cell.place)
            for event in run.follow():
                outputs.take(event)
            executed.fill(node, run, _nodes(outputs.finish()))
            if run.error is not None:
                nb_man.cell_exception(node, cell.place)
            nb_man.cell_complete(node, cell.place)

        ran = session.run_notebook(asked, started)
        if ran.error is not None and len(ran.cells) < len(asked.cells) and not _failed(ran.cells):
            node = notebook.cells[asked.cells[len(ran.cells)].place]
            node.outputs = _nodes([executed.error_output(ran.error)])
        notebook.cells.append(_node(executed.verdict_cell(ran, cell_id=int(notebook.nbformat_minor) >= 5)))
        notebook.cells[-1].metadata["papermill"] = {"status": "completed"}


def _failed(cells: Any) -> bool:
    return bool(cells) and cells[-1].run.error is not None


def _node(value: dict[str, Any]) -> Any:
    from nbformat import from_dict

    return from_dict(value)  # type: ignore[no-untyped-call]


def _nodes(values: list[dict[str, Any]]) -> list[Any]:
    return [_node(one) for one in values]
