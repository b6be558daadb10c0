/** The dialog that writes a %seal cell. It seals nothing: what would be sealed, under which policy, is a cell that somebody runs. */

import { offerCell } from '../core/actions';
import { sentence } from '../core/api';
import { h } from '../core/dom';
import type { Model } from '../core/model';
import type { PolicyForm, PolicyShown } from '../core/types';
import { SealForm } from './seal-form';
import { SealPreview } from './seal-preview';

export interface ISealStart {
  /** A variable of the kernel. */
  readonly frame?: string;
  /** Or a file. */
  readonly file?: string;
  readonly name?: string;
  /** Code is sealed, by a %%seal cell. */
  readonly code?: boolean;
  /** Another policy for an asset that is there: the one in force fills the form in. */
  readonly edit?: boolean;
}

/** Ask for a policy, and put the cell that seals under it into the notebook; true if it was put there, or copied. */
export async function sealDialog(model: Model, start: ISealStart = {}): Promise<boolean> {
  const { host } = model;
  const { trans } = host;
  let form: PolicyForm;
  try {
    form = await model.api.get<PolicyForm>('policy', { name: start.edit ? start.name : undefined });
  } catch (error) {
    host.notify(sentence(error, trans.__('The options of a policy could not be had.')));
    return false;
  }
  const preview = new SealPreview(model);
  const fields = new SealForm(model, form, start, () => preview.ask(fields.asked()));
  preview.ask(fields.asked());
  const body = h('div', { class: 'sls-seal' }, fields.node, preview.node);
  let shown: PolicyShown | null = null;
  const check = async () => {
    shown = await preview.settled();
    return shown === null ? preview.why() : '';
  };
  const title = start.edit ? trans.__('Policy of %1', start.name ?? '') : trans.__('Seal');
  const accept = host.notebooks ? trans.__('Insert cell') : trans.__('Copy cell');
  const accepted = await host.ask({ title, body, accept, check });
  preview.dispose();
  const made = shown as PolicyShown | null; // set by `check`, which the compiler does not follow
  if (!accepted || made === null) {
    return false;
  }
  await offerCell(host, made.cell);
  return true;
}
