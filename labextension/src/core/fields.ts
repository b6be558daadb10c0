/** Fields of a form, each with its label and its help, tied together for who hears the page. */

import { freshId, h } from './dom';

export type Control = HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement;

export interface IFieldWords {
  readonly label: string;
  readonly help?: string;
}

/** A label, a control and what it is about. */
export function field(words: IFieldWords, control: Control): HTMLElement {
  const id = freshId('field');
  control.id = id;
  const help = words.help ? h('span', { class: 'sls-help', id: `${id}-help` }, words.help) : null;
  if (help !== null) {
    control.setAttribute('aria-describedby', help.id);
  }
  return h('div', { class: 'sls-field' }, h('label', { for: id }, words.label), control, help);
}

export function textInput(value = '', attributes: Readonly<Record<string, unknown>> = {}): HTMLInputElement {
  const node = h('input', { type: 'text', autocomplete: 'off', spellcheck: 'false', ...attributes, class: 'sls-input' });
  node.value = value;
  return node;
}

export function select(choices: readonly (readonly [value: string, label: string])[], value: string): HTMLSelectElement {
  const known = choices.some(([one]) => one === value);
  const all = known ? choices : [[value, value] as const, ...choices];
  const node = h('select', { class: 'sls-input' }, ...all.map(([one, label]) => h('option', { value: one }, label)));
  node.value = value;
  return node;
}

/** A box to tick, with what ticking it means. */
export function checkbox(words: IFieldWords, ticked = false): { readonly node: HTMLElement; readonly box: HTMLInputElement } {
  const id = freshId('tick');
  const box = h('input', { type: 'checkbox', id });
  box.checked = ticked;
  const help = words.help ? h('span', { class: 'sls-help', id: `${id}-help` }, words.help) : null;
  if (help !== null) {
    box.setAttribute('aria-describedby', help.id);
  }
  return { box, node: h('div', { class: 'sls-tick' }, box, h('label', { for: id }, words.label), help) };
}
