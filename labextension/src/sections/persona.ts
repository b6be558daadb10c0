/** Who somebody is here: be another persona, or a new one. */

import { button, h } from '../core/dom';
import { field, textInput } from '../core/fields';
import type { Model } from '../core/model';
import type { PersonaRow } from '../core/types';

const MAX_NAME = 100;

/** A dialog that says who this is, with everybody that one can be instead. */
export async function choosePersona(model: Model): Promise<void> {
  const { host, status } = model;
  const { trans } = host;
  const names = model.about?.personas ?? [];
  let chosen = model.persona;
  let wantsNew = false;
  const choices = names.map(name => choice(name, name === model.persona, () => ((chosen = name), (wantsNew = false))));
  const another = choice(trans.__('a new persona …'), names.length === 0, () => (wantsNew = true));
  const copy = status ? button(trans.__('Copy DID'), () => void host.copy(status.did).then(() => host.notify(trans.__('Copied.')))) : null;
  const body = h(
    'div',
    {},
    status ? h('p', {}, trans.__('You are'), ' ', h('strong', {}, status.persona), '.') : null,
    status ? h('p', {}, h('code', {}, status.did)) : null,
    copy ? h('div', { class: 'sls-buttons' }, copy) : null,
    h('fieldset', {}, h('legend', {}, trans.__('Be')), ...choices, another)
  );
  wantsNew = names.length === 0;
  if (!(await host.ask({ title: trans.__('Persona'), body, accept: trans.__('Be this persona') }))) {
    return;
  }
  const name = wantsNew ? await newPersona(model) : chosen;
  if (name && name !== model.persona) {
    model.become(name);
  }
}

function choice(words: string, ticked: boolean, run: () => void): HTMLElement {
  const box = h('input', { type: 'radio', name: 'sls-persona', 'data-autofocus': ticked });
  box.checked = ticked;
  box.addEventListener('change', run);
  return h('label', { class: 'sls-choice' }, box, h('span', {}, words));
}

/** Make one; its name, or `null` where nobody wanted it. */
export async function newPersona(model: Model): Promise<string | null> {
  const { trans } = model.host;
  const name = textInput('', { maxlength: MAX_NAME, 'data-autofocus': true });
  const help = trans.__('A persona is a name with keys of its own on this server. Others see its DID; the name is for you.');
  let made: string | null = null;
  const check = async () => {
    if (!name.value.trim()) {
      return trans.__('A persona has a name.');
    }
    made = (await model.api.post<PersonaRow>('personas', { name: name.value.trim() })).name;
    return '';
  };
  const body = h('div', {}, field({ label: trans.__('Name'), help }, name));
  return (await model.host.ask({ title: trans.__('New persona'), body, accept: trans.__('Make it'), check })) ? made : null;
}
