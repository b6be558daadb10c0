/** Sentences at the edge of the page: they go by themselves, or stay while they have a button. */

import { button, h } from '../core/dom';
import type { ITranslate } from '../core/host';

const STAYS_MS = 6000;
const MOST = 4; // at a time; the oldest gives way

export class Toasts {
  private readonly node = h('div', { class: 'sls-toasts sls-ui', role: 'status', 'aria-live': 'polite' });

  constructor(private readonly trans: ITranslate) {
    document.body.append(this.node);
  }

  show(words: string, action?: { readonly label: string; readonly run: () => void }): void {
    const toast = h('div', { class: 'sls-toast' }, h('p', {}, words));
    const close = button('×', () => toast.remove(), { class: 'sls-quiet', 'aria-label': this.trans.__('Close') });
    if (action === undefined) {
      setTimeout(() => toast.remove(), STAYS_MS);
    } else {
      const run = () => {
        toast.remove();
        action.run();
      };
      toast.append(button(action.label, run));
    }
    toast.append(close);
    this.node.append(toast);
    while (this.node.childElementCount > MOST) {
      this.node.firstElementChild?.remove();
    }
  }
}
