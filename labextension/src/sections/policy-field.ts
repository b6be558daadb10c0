/** One option of a policy as a field: a choice, several to tick, a text, or one text a line. */

import { h } from '../core/dom';
import { checkbox, field, select, textInput, type Control } from '../core/fields';
import type { ITranslate } from '../core/host';
import type { PolicyField } from '../core/types';

export interface IPolicyField {
  readonly name: string;
  readonly node: HTMLElement;
  /** What it says; of a list, one item a line. */
  readonly value: () => string;
}

export function policyField(one: PolicyField, trans: ITranslate): IPolicyField {
  if (one.many) {
    return one.choices.length > 0 ? ticks(one) : lines(one, trans);
  }
  const control = one.choices.length > 0 ? select(one.choices.map(choice => [choice, choice] as const), one.value) : textInput(one.value);
  return simple(one, control, one.help);
}

function label(one: PolicyField): string {
  return one.name.replace(/[-_]/g, ' ');
}

function simple(one: PolicyField, control: Control, help: string): IPolicyField {
  return { name: one.name, node: field({ label: label(one), help }, control), value: () => control.value.trim() };
}

function lines(one: PolicyField, trans: ITranslate): IPolicyField {
  const area = h('textarea', { class: 'sls-input', rows: Math.max(2, one.value.split('\n').length), spellcheck: 'false', autocomplete: 'off' });
  area.value = one.value;
  return simple(one, area, [one.help, trans.__('one a line')].filter(words => words !== '').join('; '));
}

/** Boxes to tick; what the policy in force says and is no choice any more is one, too. None ticked says nothing. */
function ticks(one: PolicyField): IPolicyField {
  const chosen = one.value.split('\n').filter(line => line !== '');
  const all = [...new Set([...one.choices, ...chosen])];
  const boxes = all.map(choice => ({ choice, ...checkbox({ label: choice }, chosen.includes(choice)) }));
  const node = h(
    'fieldset',
    { class: 'sls-field sls-ticks' },
    h('legend', {}, label(one)),
    h('div', { class: 'sls-ticks-box' }, ...boxes.map(({ node: tick }) => tick)),
    one.help ? h('span', { class: 'sls-help' }, one.help) : null
  );
  return { name: one.name, node, value: () => boxes.filter(({ box }) => box.checked).map(({ choice }) => choice).join('\n') };
}
