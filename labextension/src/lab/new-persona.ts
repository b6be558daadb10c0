/** A new persona, by a dialog that says what a name is. */

import { h } from '../core/dom';
import type { Model } from '../core/model';
import type { PersonaRow } from '../core/types';

/** Its name; `null` where nobody wanted one. */
export async function newPersona(model: Model): Promise<string | null> {
  const { trans } = model.host;
  const name = h('input', { type: 'text', maxlength: 100, autocomplete: 'off', spellcheck: 'false', 'data-autofocus': true });
  const words = trans.__('A persona is a name with keys of its own on this server. Others see its DID; the name is for you.');
  const body = h('div', {}, h('p', {}, words), h('label', { class: 'sls-field' }, h('span', {}, trans.__('Name')), name));
  let made: PersonaRow | null = null;
  const check = async () => {
    if (name.value.trim() === '') {
      return trans.__('A persona has a name.');
    }
    try {
      made = await model.api.post<PersonaRow>('personas', { name: name.value.trim() });
      return '';
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  };
  await model.host.ask({ title: trans.__('New persona'), body, accept: trans.__('Make it'), check });
  return (made as PersonaRow | null)?.name ?? null;
}
