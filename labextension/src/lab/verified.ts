/** How many remote cells of a notebook verify: their saved cards, receipts and results belong together. */

import { NotebookActions, type Notebook, type NotebookPanel } from '@jupyterlab/notebook';
import { isCodeCellModel, type Cell } from '@jupyterlab/cells';
import { Widget } from '@lumino/widgets';
import { button, h, replace } from '../core/dom';
import { sentence } from '../core/api';
import { signedChip } from '../core/card';
import type { Model } from '../core/model';
import type { NotebookChecked } from '../core/types';
import { tell } from './host';
import { cardsOf, magicOf } from './saved';
import { Soon } from './soon';

const SETTLED_MS = 1000;
const MOST = 500; // cells that one call takes
const MOST_LETTERS = 1_000_000; // of all their text

interface IRow {
  readonly cell: Cell;
  readonly verified: boolean;
  readonly words: string;
}

export class VerifiedBadge extends Widget {
  private readonly button: HTMLButtonElement;
  private readonly soon: Soon;
  private readonly undo: () => void;
  private rows: readonly IRow[] = [];

  constructor(
    private readonly panel: NotebookPanel,
    private readonly model: Model
  ) {
    super();
    this.addClass('sls-ui');
    this.addClass('sls-verified');
    this.button = button('', () => void this.list(), { class: 'sls-verified-button' });
    this.node.append(this.button);
    this.hide();
    this.soon = new Soon(signal => this.ask(signal), () => this.panel.isVisible && !document.hidden && model.half === 'ready' && model.persona !== '');
    const later = () => this.soon.in(SETTLED_MS);
    const offs = [model.updated.on(() => this.soon.look()), model.changed.on(section => section === 'runs' && later())];
    this.undo = () => offs.forEach(off => off());
    NotebookActions.executed.connect(this.executed, this);
    panel.content.activeCellChanged.connect(this.looked, this);
    void panel.context.ready.then(() => {
      panel.model?.contentChanged.connect(this.edited, this);
      later();
    });
  }

  override dispose(): void {
    if (!this.isDisposed) {
      this.soon.stop();
      this.undo();
      NotebookActions.executed.disconnect(this.executed, this);
      this.panel.content?.activeCellChanged.disconnect(this.looked, this);
      this.panel.model?.contentChanged.disconnect(this.edited, this);
    }
    super.dispose();
  }

  private executed(_: unknown, { notebook }: { readonly notebook: Notebook }): void {
    if (notebook === this.panel.content) {
      this.soon.in(SETTLED_MS);
    }
  }

  private edited(): void {
    if (this.remote().length > 0 || !this.isHidden) {
      this.soon.in(SETTLED_MS);
    }
  }

  private looked(): void {
    this.soon.look();
  }

  private remote(): Cell[] {
    return this.panel.content.widgets.filter(
      cell => isCodeCellModel(cell.model) && magicOf(cell.model.sharedModel.getSource()) === 'safestream'
    );
  }

  private async ask(signal: AbortSignal): Promise<void> {
    const { trans } = this.model.host;
    const cells = this.remote();
    const asked: { run: string; cell: string }[] = [];
    const of = new Map<Cell, number>(); // where its question stands: several cells may name one run
    let letters = 0;
    for (const cell of cells) {
      const text = cell.model.sharedModel.getSource();
      const cards = isCodeCellModel(cell.model) ? cardsOf(cell.model) : [];
      const run = cards[cards.length - 1]?.run;
      if (run !== undefined && asked.length < MOST && letters + text.length <= MOST_LETTERS) {
        letters += text.length;
        of.set(cell, asked.length);
        asked.push({ run, cell: text });
      }
    }
    let checked: NotebookChecked = { cells: [] };
    let trouble = '';
    try {
      checked = asked.length > 0 ? await this.model.api.post<NotebookChecked>('notebook', { cells: asked }, {}, signal) : checked;
    } catch (error) {
      trouble = sentence(error, trans.__('It could not be checked.')); // what was verified before may be changed by now
    }
    if (signal.aborted || this.isDisposed) {
      return;
    }
    this.rows = cells.map(cell => {
      const at = of.get(cell);
      const found = at === undefined ? undefined : checked.cells[at];
      return { cell, verified: found?.verified ?? false, words: found?.words ?? (at !== undefined ? trouble : this.unasked(cell)) };
    });
    this.draw();
  }

  private unasked(cell: Cell): string {
    const { trans } = this.model.host;
    const has = isCodeCellModel(cell.model) && cardsOf(cell.model).length > 0;
    return has ? trans.__('The notebook has too many remote cells, or too long ones: this one was not checked.') : trans.__('It has no saved card of a run.');
  }

  private draw(): void {
    const { trans } = this.model.host;
    const total = this.rows.length;
    const good = this.rows.filter(row => row.verified).length;
    this.setHidden(total === 0);
    const words = trans._n('%2 of %1 remote cell verified', '%2 of %1 remote cells verified', total, total, good);
    replace(this.button, `${good === total ? '✓' : '!'} ${words}`);
    this.button.title = trans.__('Cells whose code and kept results are those of a receipt that verifies. What the notebook shows beneath them is not compared. Which are not, and why');
    this.button.classList.toggle('sls-good', good === total);
  }

  private async list(): Promise<void> {
    const { trans } = this.model.host;
    const items = this.rows.map(row => {
      const text = row.cell.model.sharedModel.getSource().trimStart().split('\n', 1)[0] ?? '';
      const number = this.panel.content.widgets.indexOf(row.cell) + 1;
      const state = row.verified ? signedChip(trans.__('verified'), 'good') : signedChip(trans.__('not verified'), 'bad');
      return h('li', {}, state, ' ', h('strong', {}, trans.__('Cell %1', number)), ' ', h('code', {}, text), h('p', {}, row.words));
    });
    // those that are not come first
    const order = [...items.filter((_, at) => !this.rows[at]?.verified), ...items.filter((_, at) => this.rows[at]?.verified)];
    await tell(trans.__('Remote cells of this notebook'), h('ul', { class: 'sls-verified-list' }, ...order), trans);
  }
}
