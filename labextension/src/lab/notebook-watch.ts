/** The cells of one notebook that is open, those that are seen among them. */

import type { Cell } from '@jupyterlab/cells';
import { NotebookActions, type NotebookPanel } from '@jupyterlab/notebook';
import type { Model } from '../core/model';
import { CellWatch } from './cell-watch';
import type { Preferences } from './preferences';

const NO_WAIT = '--no-wait';

export class NotebookWatch {
  private readonly cells = new Map<Cell, CellWatch>();
  private readonly byNode = new WeakMap<Element, CellWatch>();
  private readonly observer: IntersectionObserver;
  private readonly undo: (() => void)[];
  private scheduled = false;

  constructor(
    private readonly panel: NotebookPanel,
    private readonly model: Model,
    private readonly preferences: Preferences,
    private readonly showRequest: (id: string) => void
  ) {
    this.observer = new IntersectionObserver(entries => {
      for (const entry of entries) {
        const found = this.byNode.get(entry.target);
        if (found !== undefined) {
          found.visible = entry.isIntersecting;
        }
      }
    });
    const back = () => this.each(watch => watch.again());
    document.addEventListener('visibilitychange', back);
    this.undo = [
      () => document.removeEventListener('visibilitychange', back),
      model.updated.on(back),
      model.changed.on(section => (section === 'assets' || section === 'requests') && back()),
      preferences.changed.on(() => this.each(watch => watch.look()))
    ];
    panel.disposed.connect(() => this.dispose());
    void panel.context.ready.then(() => {
      panel.model?.cells.changed.connect(this.later, this);
      this.sync();
    });
  }

  watchOf(cell: Cell | null): CellWatch | undefined {
    return cell === null ? undefined : this.cells.get(cell);
  }

  dispose(): void {
    this.observer.disconnect();
    this.undo.splice(0).forEach(undo => undo());
    this.each(watch => watch.dispose());
    this.cells.clear();
  }

  /** Write `--no-wait` on the cell's first line, where everybody sees it, and run the cell. */
  async runDetached(cell: Cell): Promise<void> {
    const text = cell.model.sharedModel.getSource();
    const start = text.indexOf('%%safestream');
    const end = text.indexOf('\n', start) < 0 ? text.length : text.indexOf('\n', start);
    const line = text.slice(start, end);
    if (!line.split(/\s+/).includes(NO_WAIT)) {
      cell.model.sharedModel.updateSource(end, end, line.endsWith(' ') ? NO_WAIT : ` ${NO_WAIT}`);
    }
    const notebook = this.panel.content;
    notebook.activeCellIndex = notebook.widgets.indexOf(cell);
    notebook.deselectAll();
    await NotebookActions.run(notebook, this.panel.sessionContext);
  }

  private each(act: (watch: CellWatch) => void): void {
    this.cells.forEach(act);
  }

  /** Cells come and go in groups; their widgets follow the model. */
  private later(): void {
    if (!this.scheduled) {
      this.scheduled = true;
      requestAnimationFrame(() => {
        this.scheduled = false;
        if (!this.panel.isDisposed) {
          this.sync();
        }
      });
    }
  }

  private sync(): void {
    const there = new Set(this.panel.content.widgets);
    for (const [cell, watch] of this.cells) {
      if (!there.has(cell)) {
        this.observer.unobserve(cell.node);
        watch.dispose();
        this.cells.delete(cell);
      }
    }
    for (const cell of there) {
      if (!this.cells.has(cell)) {
        const actions = { detached: () => void this.runDetached(cell), request: this.showRequest };
        const watch = new CellWatch(cell, this.model, this.preferences, actions);
        this.cells.set(cell, watch);
        this.byNode.set(cell.node, watch);
        this.observer.observe(cell.node);
      }
    }
  }
}
