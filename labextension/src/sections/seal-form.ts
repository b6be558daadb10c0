/** What is sealed, how it is called, and the options of its policy, as fields. */

import { freshId, h } from '../core/dom';
import { field, select, textInput } from '../core/fields';
import type { Model } from '../core/model';
import type { PolicyAsked, PolicyForm } from '../core/types';
import { policyField, type IPolicyField } from './policy-field';
import type { ISealStart } from './seal-dialog';

const FIRST: ReadonlySet<string> = new Set(['allow-code', 'columns', 'purpose', 'kinds', 'min-group', 'requester', 'expires']); // what most policies say

export class SealForm {
  readonly node: HTMLElement;
  private readonly frame: HTMLInputElement;
  private readonly name: HTMLInputElement;
  private readonly kind: HTMLSelectElement;
  private readonly options: readonly IPolicyField[];

  constructor(model: Model, form: PolicyForm, start: ISealStart, changed: () => void) {
    const { trans } = model.host;
    const variables = h('datalist', { id: freshId('frames') }, ...(model.host.notebooks?.variables() ?? []).map(name => h('option', { value: name })));
    this.frame = textInput(start.file ?? start.frame ?? '', { list: variables.id, 'data-key': 'frame', 'data-autofocus': true });
    this.name = textInput(start.name ?? '');
    this.name.readOnly = start.edit === true;
    this.kind = select([['table', trans.__('a table')], ['code', trans.__('code')]], start.code ? 'code' : 'table');
    this.options = form.fields.map(one => policyField(one, trans));
    const first = this.options.filter(({ name }) => FIRST.has(name));
    const other = this.options.filter(({ name }) => !FIRST.has(name));
    this.node = h(
      'div',
      { class: 'sls-form' },
      start.edit ? null : field({ label: trans.__('What is sealed') }, this.kind),
      field({ label: trans.__('Variable or file'), help: trans.__('A variable of the notebook, or a path: .parquet, .csv, .tsv, .jsonl, .arrow, .xlsx. For code it is the name alone.') }, this.frame),
      variables,
      field({ label: trans.__('Name'), help: trans.__('How the asset is called; the variable’s name by default.') }, this.name),
      h('h3', {}, trans.__('Policy')),
      h('div', { class: 'sls-options' }, ...first.map(({ node }) => node)),
      h('details', {}, h('summary', {}, trans.__('More options')), h('div', { class: 'sls-options' }, ...other.map(({ node }) => node)))
    );
    this.node.addEventListener('input', changed);
  }

  /** The form as a question: what would these options mean? */
  asked(): PolicyAsked {
    const given = this.options.map(({ name, value }) => [name, value()] as const).filter(([, value]) => value !== '');
    return { frame: this.frame.value.trim(), name: this.name.value.trim(), code: this.kind.value === 'code', options: Object.fromEntries(given) };
  }
}
