/** A list and what is opened of it: side by side where there is room, one in the place of the other where there is not. */

import { button, h, type Child } from './dom';
import type { ITranslate } from './host';
import type { ListView } from './list';

export interface ISplitOptions<T> {
  readonly trans: ITranslate;
  readonly list: ListView<T>;
  /** What stands above the list: search, buttons. */
  readonly above?: readonly Child[];
  /** What stands below it. */
  readonly below?: readonly Child[];
  /** Nothing is open any more. */
  readonly closed: () => void;
  readonly open: (row: T) => void;
}

/** j and k go on in the list, and show the next one where one is open; Escape goes back to the list. */
export class SplitView<T> {
  readonly node: HTMLElement;
  /** What is open is drawn in here. */
  readonly detail: HTMLElement;
  private readonly pane: HTMLElement;

  constructor(private readonly options: ISplitOptions<T>) {
    const { trans, list } = options;
    this.detail = h('div', { class: 'sls-detail-body' });
    const back = button(trans.__('← Back'), () => this.close(), { class: 'sls-back', 'data-key': 'back' });
    this.pane = h('div', { class: 'sls-detail', role: 'region', 'aria-label': trans.__('Details'), tabindex: -1 }, back, this.detail);
    const master = h('div', { class: 'sls-master' }, ...(options.above ?? []), list.node, ...(options.below ?? []));
    this.node = h('div', { class: 'sls-split', on: { keydown: event => this.key(event) } }, master, this.pane);
    this.pane.hidden = true;
  }

  get isOpen(): boolean {
    return !this.pane.hidden;
  }

  /** Show the pane; the focus goes there, so that what is open is read next. */
  open(label: string, focus: boolean): void {
    const was = this.isOpen;
    this.pane.hidden = false;
    this.pane.setAttribute('aria-label', label);
    this.node.classList.add('sls-open');
    if (focus) {
      this.pane.scrollTop = 0;
      this.pane.focus({ preventScroll: was });
    }
  }

  close(): void {
    if (!this.isOpen) {
      return;
    }
    const focused = this.pane.contains(document.activeElement);
    this.pane.hidden = true;
    this.node.classList.remove('sls-open');
    this.detail.replaceChildren();
    this.options.closed();
    if (focused) {
      this.options.list.focus();
    }
  }

  /** What a key does here, wherever in the section it was pressed. */
  key(event: KeyboardEvent): void {
    if (event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey || isTyping(event.target)) {
      return;
    }
    if (event.key === 'Escape' && this.isOpen) {
      this.done(event, () => this.close());
    } else if (event.key === 'j' || event.key === 'k') {
      this.done(event, () => this.go(event.key === 'j' ? 1 : -1));
    }
  }

  /** Further from the row that has the focus; else to the one that would have it. */
  private go(by: number): void {
    const { list } = this.options;
    const row = list.move(list.hasFocus() || this.pane.contains(document.activeElement) ? by : 0);
    if (row === undefined) {
      return;
    }
    if (this.pane.contains(document.activeElement)) {
      this.options.open(row);
    } else {
      this.options.list.focus();
    }
  }

  private done(event: KeyboardEvent, run: () => void): void {
    event.preventDefault();
    event.stopPropagation();
    run();
  }
}

/** Whether keys are letters there. */
export function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.closest('input:not([type="checkbox"], [type="radio"]), textarea, select, [contenteditable="true"]') !== null;
}
