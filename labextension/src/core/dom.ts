/** Elements, made without markup: whatever text another party chose stays a text. */

export type Child = Node | string | null | undefined | false;

export interface IAttributes {
  readonly class?: string;
  readonly on?: { readonly [K in keyof HTMLElementEventMap]?: (event: HTMLElementEventMap[K]) => void };
  /** Everything else: attributes by their names; `true` is an empty one, `false` and `undefined` none. */
  readonly [name: string]: unknown;
}

const FORBIDDEN = /^(on|srcdoc$|style$)/i;

export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: IAttributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === 'on') {
      for (const [type, listener] of Object.entries(value as object)) {
        node.addEventListener(type, listener as EventListener);
      }
    } else if (value !== undefined && value !== false && value !== null && !FORBIDDEN.test(name)) {
      node.setAttribute(name, value === true ? '' : String(value));
    }
  }
  append(node, ...children);
  return node;
}

export function append(node: Element, ...children: Child[]): void {
  for (const child of children) {
    if (child !== null && child !== undefined && child !== false && child !== '') {
      node.append(child);
    }
  }
}

/**
 * Put other children in the place of a node's; the focus stays on the element with the same `data-key`, and a fold
 * whose summary has a `data-key` stays open.
 */
export function replace(node: Element, ...children: Child[]): void {
  const active = document.activeElement;
  const key = active instanceof HTMLElement && node.contains(active) ? active.dataset['key'] : undefined;
  const open = [...node.querySelectorAll<HTMLElement>('details[open] > summary[data-key]')].map(one => one.dataset['key'] ?? '');
  node.replaceChildren();
  append(node, ...children);
  for (const one of open) {
    node.querySelector(`summary[data-key="${CSS.escape(one)}"]`)?.parentElement?.setAttribute('open', '');
  }
  if (key !== undefined) {
    node.querySelector<HTMLElement>(`[data-key="${CSS.escape(key)}"]`)?.focus({ preventScroll: true });
  }
}

export function button(
  label: string,
  run: (event: MouseEvent) => void,
  attributes: IAttributes = {}
): HTMLButtonElement {
  return h('button', { type: 'button', ...attributes, class: `sls-button ${attributes.class ?? ''}`.trim(), on: { click: run } }, label);
}

let made = 0;

/** An id that no other element of the page has. */
export function freshId(word: string): string {
  made += 1;
  return `sls-${word}-${made}`;
}
