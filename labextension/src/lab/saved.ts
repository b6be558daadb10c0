/** What stands in a notebook: the cells that run elsewhere, and the cards of their runs. */

import type { Cell } from '@jupyterlab/cells';
import { isCodeCellModel, type ICodeCellModel } from '@jupyterlab/cells';
import type { NotebookPanel } from '@jupyterlab/notebook';
import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';

export const RUN_MIME = 'application/vnd.sls-jupyter.run.v1+json';

/** What a card of a run says beside its text and its HTML. Nothing in it is believed: it finds the run, and no more. */
export interface IRunCard {
  readonly run: string;
  readonly state: string;
  readonly persona: string;
  readonly home: string;
  readonly version: string;
}

const WORD = /^[\w.:+-]{1,100}$/; // what a card of ours has in such a place; a file may have anything
const MAGIC = /^\s*%%(safestream|seal)(?![\w.])/;

/** Which of our cell magics a cell begins with. */
export function magicOf(text: string): 'safestream' | 'seal' | null {
  const found = MAGIC.exec(text)?.[1];
  return found === 'safestream' || found === 'seal' ? found : null;
}

/** A card from a bundle; `null` where there is none, or it names no run. */
function cardOf(data: unknown): IRunCard | null {
  const found = typeof data === 'object' && data !== null ? (data as Record<string, unknown>) : {};
  const text = (name: string) => {
    const value = found[name];
    return typeof value === 'string' && WORD.test(value) ? value : '';
  };
  const run = text('run');
  return run ? { run, state: text('state'), persona: text('persona'), home: text('home'), version: text('version') } : null;
}

export function cardOfModel(model: IRenderMime.IMimeModel): IRunCard | null {
  return cardOf(model.data[RUN_MIME]);
}

/** The cards in the outputs of a cell, the newest last. */
export function cardsOf(model: ICodeCellModel): IRunCard[] {
  const found: IRunCard[] = [];
  for (let at = 0; at < model.outputs.length; at++) {
    const card = cardOf(model.outputs.get(at).data[RUN_MIME]);
    if (card !== null) {
      found.push(card);
    }
  }
  return found;
}

/** Every code cell of a notebook that carries a card. */
export function* carded(panel: NotebookPanel): Generator<{ readonly cell: Cell; readonly cards: readonly IRunCard[] }> {
  for (const cell of panel.content.widgets) {
    if (isCodeCellModel(cell.model)) {
      const cards = cardsOf(cell.model);
      if (cards.length > 0) {
        yield { cell, cards };
      }
    }
  }
}

/** The card that stands last in a notebook: what its kernel said of itself. */
export function lastCard(panel: NotebookPanel): IRunCard | null {
  let last: IRunCard | null = null;
  for (const { cards } of carded(panel)) {
    last = cards[cards.length - 1] ?? last;
  }
  return last;
}
