/** What is sealed, how it is called, and the options of its policy, as fields. */

import { freshId, h } from '../core/dom';
import { field, select, textInput, type Control } from '../core/fields';
import type { Model } from '../core/model';
import type { PolicyAsked, PolicyField, PolicyForm } from '../core/types';
import type { ISealStart } from './seal-dialog';

const FIRST = 6; // options that are asked for first; the others are folded unless they say something

export class SealForm {
  readonly node: HTMLElement;
  private readonly frame: HTMLInputElement;
  private readonly name: HTMLInputElement;
  private readonly kind: HTMLSelectElement;
  private readonly options: readonly { readonly name: string; readonly control: Control }[];

  constructor(model: Model, form: PolicyForm, start: ISealStart, changed: () => void) {
    const { trans } = model.host;
    const variables = h('datalist', { id: freshId('frames') }, ...(model.host.notebooks?.variables() ?? []).map(name => h('option', { value: name })));
    this.frame = textInput(start.file ?? start.frame ?? '', { list: variables.id, 'data-key': 'frame' });
    this.name = textInput(start.name ?? '');
    this.name.readOnly = start.edit === true;
    this.kind = select([['table', trans.__('a table')], ['code', trans.__('code')]], start.code ? 'code' : 'table');
    this.options = form.fields.map(one => ({ name: one.name, control: controlOf(one) }));
    const drawn = form.fields.map((one, at) => ({ one, node: this.drawn(one, this.options[at]?.control, trans.__('several, with commas between them')) }));
    const first = drawn.filter(({ one }, at) => at < FIRST || one.value !== '');
    const other = drawn.filter(({ one }, at) => at >= FIRST && one.value === '');
    this.node = h(
      'div',
      { class: 'sls-form' },
      start.edit ? null : field({ label: trans.__('What is sealed') }, this.kind),
      field({ label: trans.__('Variable or file'), help: trans.__('A variable of the notebook, or a path: .parquet, .csv, .tsv, .jsonl, .arrow, .xlsx. For code it is the name alone.') }, this.frame),
      variables,
      field({ label: trans.__('Name'), help: trans.__('How the asset is called; the variable’s name by default.') }, this.name),
      h('h3', {}, trans.__('Policy')),
      h('div', { class: 'sls-options' }, ...first.map(({ node }) => node)),
      other.length > 0 ? h('details', {}, h('summary', {}, trans.__('More options')), h('div', { class: 'sls-options' }, ...other.map(({ node }) => node))) : null
    );
    this.node.addEventListener('input', changed);
  }

  /** The form as a question: what would these options mean? */
  asked(): PolicyAsked {
    const given = this.options.map(({ name, control }) => [name, control.value.trim()] as const).filter(([, value]) => value !== '');
    return { frame: this.frame.value.trim(), name: this.name.value.trim(), code: this.kind.value === 'code', options: Object.fromEntries(given) };
  }

  private drawn(one: PolicyField, control: Control | undefined, many: string): HTMLElement {
    const of = one.many && one.choices.length > 0 ? one.choices.join(', ') : '';
    const help = [one.help, of, one.many ? many : ''].filter(words => words !== '').join('; ');
    return control ? field({ label: one.name.replaceAll('_', ' '), help }, control) : h('div', {});
  }
}

function controlOf(one: PolicyField): Control {
  if (one.choices.length > 0 && !one.many) {
    return select(
      one.choices.map(choice => [choice, choice || '–'] as const),
      one.value
    );
  }
  return textInput(one.value);
}
