/** The line beneath a cell that runs elsewhere: what would happen to it. It is no part of the notebook. */

import { Widget } from '@lumino/widgets';
import { button, h, replace } from '../core/dom';
import { drawCard, signedChip } from '../core/card';
import type { ITranslate } from '../core/host';
import type { Preflight, Tone } from '../core/types';

const TONES: Readonly<Record<Preflight['verdict'], Tone>> = { run: 'good', ask: 'wait', no: 'bad', error: 'bad', unknown: '' };

export interface ILineActions {
  readonly details: () => void;
  readonly detached: () => void;
  readonly request: () => void;
}

export class CellLine extends Widget {
  private readonly words = h('span', { class: 'sls-line-words' });

  constructor(
    private readonly trans: ITranslate,
    actions: ILineActions
  ) {
    super();
    this.addClass('sls-ui');
    this.addClass('sls-cell-line');
    // the notebook's own keys would take Enter and the space bar from the buttons
    this.node.setAttribute('data-lm-suppress-shortcuts', 'true');
    this.node.setAttribute('role', 'group');
    this.node.setAttribute('aria-label', trans.__('What this cell would do'));
    const buttons = h(
      'span',
      { class: 'sls-line-buttons' },
      button(trans.__('Preflight'), actions.details, { title: trans.__('Every check of this cell, before it runs; nothing is asked, run or logged') }),
      button(trans.__('Run detached'), actions.detached, { title: trans.__('Add --no-wait to its first line and run it; the kernel stays free') }),
      button(trans.__('Show request'), actions.request, { title: trans.__('Open the inbox') })
    );
    this.node.append(this.words, buttons);
    this.wait();
  }

  wait(): void {
    this.node.setAttribute('aria-busy', 'true');
    if (this.words.childElementCount === 0) {
      replace(this.words, this.trans.__('runs remotely'));
    }
  }

  tell(found: Preflight): void {
    this.node.removeAttribute('aria-busy');
    replace(this.words, found.line, ' ', found.state ? stateOf(found) : null);
  }

  /** The server half is not there, or does not answer: the cell runs all the same. */
  fail(words: string): void {
    this.node.removeAttribute('aria-busy');
    replace(this.words, this.trans.__('runs remotely'), ' · ', h('span', { class: 'sls-sub' }, words));
  }
}

/** The server's words have their sign where it gave one. */
function stateOf(found: Preflight): HTMLElement {
  const tone = TONES[found.verdict];
  return /[✓✗…!]/u.test(found.state) ? h('span', { class: `sls-chip sls-${tone || 'plain'}` }, found.state) : signedChip(found.state, tone);
}

/** What the dialog behind Preflight shows. */
export function preflightBody(found: Preflight, trans: ITranslate): HTMLElement {
  const body = h('div', {}, h('p', {}, found.line, ' ', found.state ? stateOf(found) : null));
  if (found.card !== null) {
    body.append(drawCard(found.card, trans));
  }
  return body;
}
