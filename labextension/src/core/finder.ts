/** What a list is asked for: the words that its rows must have, and how many of them. */

import { button, freshId, h, replace } from './dom';
import type { ITranslate } from './host';

const PAGE = 200;
const TYPED_MS = 250;

export class Finder {
  readonly box: HTMLElement;
  /** Below the list: how many rows there are beside those that are shown. */
  readonly more = h('div', { class: 'sls-more' });
  private readonly input: HTMLInputElement;
  private words = '';
  private most = PAGE;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly trans: ITranslate,
    label: string,
    private readonly changed: () => void
  ) {
    const id = freshId('search');
    const input = h('input', { type: 'search', id, class: 'sls-input sls-search', placeholder: label, autocomplete: 'off', spellcheck: 'false', 'data-key': 'search' });
    input.addEventListener('input', () => this.typed());
    input.addEventListener('keydown', event => this.key(event));
    this.input = input;
    this.box = h('div', { class: 'sls-toolbar', role: 'search' }, h('label', { for: id, class: 'sls-unseen' }, label), input);
  }

  get query(): { readonly q: string; readonly most: number } {
    return { q: this.words, most: this.most };
  }

  /** Say what came of it. */
  told(shown: number, total: number): void {
    const { trans } = this;
    if (total === 0) {
      replace(this.more, this.words ? h('p', {}, trans.__('Nothing has these words.')) : null);
    } else if (shown < total) {
      const words = trans.__('Show more: %1 of %2 are shown', shown, total);
      replace(this.more, button(words, () => this.grow(), { 'data-key': 'more' }));
    } else {
      replace(this.more);
    }
  }

  clear(): void {
    clearTimeout(this.timer);
    this.input.value = '';
    this.words = '';
    this.most = PAGE;
  }

  private grow(): void {
    this.most += this.most;
    this.changed();
  }

  private typed(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.take(), TYPED_MS);
  }

  private take(): void {
    clearTimeout(this.timer);
    if (this.input.value.trim() !== this.words) {
      this.words = this.input.value.trim();
      this.most = PAGE;
      this.changed();
    }
  }

  private key(event: KeyboardEvent): void {
    if (event.key === 'Enter') {
      this.take();
    } else if (event.key === 'Escape' && this.input.value) {
      event.preventDefault();
      event.stopPropagation();
      this.input.value = '';
      this.take();
    }
  }
}
