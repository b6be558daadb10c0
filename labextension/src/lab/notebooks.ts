/** What the panel does with notebooks that are open. It never runs code in their kernels. */

import { NotebookActions, type INotebookTracker } from '@jupyterlab/notebook';
import type { INotebooks } from '../core/host';
import { carded } from './saved';

// A name at the beginning of a line that is given a value; not a comparison, not an attribute or an item.
const ASSIGNED = /^([A-Za-z_]\w*)\s*(?::[^=\n]+)?=(?!=)/gm;

export class LabNotebooks implements INotebooks {
  constructor(
    private readonly tracker: INotebookTracker,
    /** Bring a notebook to the front. */
    private readonly activate: (id: string) => void
  ) {}

  async insertCell(text: string): Promise<boolean> {
    const panel = this.tracker.currentWidget;
    if (panel?.model == null) {
      return false;
    }
    this.activate(panel.id);
    NotebookActions.insertBelow(panel.content);
    const cell = panel.content.activeCell;
    if (cell === null) {
      return false;
    }
    cell.model.sharedModel.setSource(text);
    panel.content.mode = 'edit';
    await panel.content.scrollToItem(panel.content.activeCellIndex);
    return true;
  }

  revealRun(run: string): boolean {
    const panels = this.tracker.filter(() => true);
    const current = this.tracker.currentWidget;
    for (const panel of current ? [current, ...panels] : panels) {
      for (const { cell, cards } of carded(panel)) {
        if (cards.some(card => card.run === run)) {
          this.activate(panel.id);
          panel.content.activeCellIndex = panel.content.widgets.indexOf(cell);
          void panel.content.scrollToCell(cell, 'center');
          cell.node.focus();
          return true;
        }
      }
    }
    return false;
  }

  variables(): readonly string[] {
    const found = new Set<string>();
    for (const cell of this.tracker.currentWidget?.content.widgets ?? []) {
      const text = cell.model.type === 'code' ? cell.model.sharedModel.getSource() : '';
      if (text.trimStart().startsWith('%%')) {
        continue; // what another process assigns is not the kernel's
      }
      for (const [, name] of text.matchAll(ASSIGNED)) {
        if (name !== undefined && !name.startsWith('_')) {
          found.add(name);
        }
      }
    }
    return [...found];
  }
}
