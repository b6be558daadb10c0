/** Rows that are used by keyboard: one is the current one; j and k, arrows, Home and End go on, Enter opens. */

import { h, type Child } from './dom';

export interface IGroup<T> {
  /** A heading above the rows; '' for none. */
  readonly heading: string;
  readonly rows: readonly T[];
}

export interface IListOptions<T> {
  /** What the rows are, for who hears the page. */
  readonly label: string;
  readonly key: (row: T) => string;
  /** What stands in a row. It is the content of a button: phrases, no blocks, nothing to press. */
  readonly draw: (row: T) => readonly Child[];
  readonly open: (row: T) => void;
}

interface IItem<T> {
  readonly row: T;
  readonly drawn: string;
  readonly node: HTMLElement;
  readonly button: HTMLButtonElement;
}

/** Rows that stay as they were are not drawn anew, so focus, selection and scroll position stay too. */
export class ListView<T> {
  readonly node: HTMLElement;
  private items = new Map<string, IItem<T>>();
  private order: string[] = [];
  private current = '';
  private opened = '';
  private readonly parts = new Map<string, { readonly heading: HTMLElement; readonly list: HTMLElement }>();

  constructor(private readonly options: IListOptions<T>) {
    this.node = h('div', { class: 'sls-list', on: { keydown: event => this.key(event) } });
  }

  get size(): number {
    return this.order.length;
  }

  set(groups: readonly IGroup<T>[]): void {
    const at = this.order.indexOf(this.current);
    const focused = this.hasFocus();
    const before = this.items;
    this.items = new Map();
    this.order = [];
    arrange(this.node, groups.filter(one => one.rows.length > 0).flatMap(group => this.part(group, before)));
    if (!this.items.has(this.current)) {
      this.current = this.order[Math.min(Math.max(at, 0), this.order.length - 1)] ?? '';
    }
    this.mark();
    if (focused && !this.hasFocus()) {
      this.items.get(this.current)?.button.focus({ preventScroll: true });
    }
  }

  /** The row that a detail shows; '' for none. */
  show(key: string): void {
    this.opened = key;
    if (this.items.has(key)) {
      this.current = key;
    }
    this.mark();
  }

  /** Put the focus on the current row; false where there is none. */
  focus(): boolean {
    const item = this.items.get(this.current);
    item?.button.focus({ preventScroll: true });
    item?.node.scrollIntoView({ block: 'nearest' });
    return item !== undefined;
  }

  hasFocus(): boolean {
    return this.node.contains(document.activeElement);
  }

  /** Go to the row that is so many rows further, and say which it is. */
  move(by: number): T | undefined {
    const last = this.order.length - 1;
    const to = Math.min(Math.max(this.order.indexOf(this.current) + by, 0), last);
    this.current = this.order[to] ?? '';
    this.mark();
    return this.items.get(this.current)?.row;
  }

  /** A group's heading and its list, which are the same nodes each time. */
  private part(group: IGroup<T>, before: ReadonlyMap<string, IItem<T>>): readonly HTMLElement[] {
    const label = group.heading ? `${this.options.label}: ${group.heading}` : this.options.label;
    let part = this.parts.get(label);
    if (part === undefined) {
      part = { heading: h('h3', { class: 'sls-list-heading' }, group.heading), list: h('ul', { class: 'sls-rows', role: 'list', 'aria-label': label }) };
      this.parts.set(label, part);
    }
    arrange(part.list, group.rows.map(row => this.item(row, before)));
    return group.heading ? [part.heading, part.list] : [part.list];
  }

  private item(row: T, before: ReadonlyMap<string, IItem<T>>): HTMLElement {
    const key = this.options.key(row);
    const drawn = JSON.stringify(row);
    const old = before.get(key);
    const item = old !== undefined && old.drawn === drawn ? old : this.made(row, key, drawn);
    this.items.set(key, item);
    this.order.push(key);
    return item.node;
  }

  private made(row: T, key: string, drawn: string): IItem<T> {
    const run = () => {
      this.current = key;
      this.options.open(row);
    };
    const reached = () => {
      this.current = key;
      this.mark();
    };
    const button = h('button', { type: 'button', class: 'sls-row-button', tabindex: -1, 'data-key': `row ${key}`, on: { click: run, focus: reached } }, ...this.options.draw(row));
    return { row, drawn, button, node: h('li', {}, button) };
  }

  /** One row is reached by Tab: the current one. */
  private mark(): void {
    for (const [key, { button }] of this.items) {
      const index = key === this.current ? 0 : -1;
      if (button.tabIndex !== index) {
        button.tabIndex = index;
      }
      button.ariaCurrent = key === this.opened ? 'true' : null;
    }
  }

  private key(event: KeyboardEvent): void {
    const by = { ArrowDown: 1, ArrowUp: -1, Home: -this.order.length, End: this.order.length }[event.key];
    if (by !== undefined && !event.altKey && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
      event.preventDefault();
      this.move(by);
      this.focus();
    }
  }
}

/** Make these a node's children; those that are there already and in order are not touched, so that focus and scroll position stay. */
function arrange(node: HTMLElement, children: readonly HTMLElement[]): void {
  const wanted = new Set<Node>(children);
  for (const child of [...node.childNodes]) {
    if (!wanted.has(child)) {
      child.remove();
    }
  }
  let at = node.firstChild;
  for (const child of children) {
    if (child === at) {
      at = at.nextSibling;
    } else {
      node.insertBefore(child, at);
    }
  }
}
