/** Dialogs of the people section. Each resolves to the card of what was done, or to `null`. */

import { freshId, h } from '../core/dom';
import { field, textInput } from '../core/fields';
import type { Model } from '../core/model';
import { personName } from '../core/person';
import type { AddContact, CallThem, CardAnswer, CardData, Connect, Person } from '../core/types';

const MAX_NAME = 100;
const MAX_CONTACT_BYTES = 64 * 1024;

interface IQuestion {
  readonly title: string;
  readonly body: HTMLElement;
  readonly accept: string;
  /** A sentence that is in the way, or what to send. */
  readonly read: () => Promise<string | { readonly path: string; readonly body: unknown }>;
}

export function nameThem(model: Model, person: Person): Promise<CardData | null> {
  const { trans } = model.host;
  const name = textInput(person.petname ?? '', { maxlength: MAX_NAME, 'data-autofocus': true });
  const help = trans.__('The name is yours: cards show it in the place of their DID, and nobody else sees it.');
  const body = h('div', {}, h('p', {}, ...personName(person, trans)), h('p', {}, h('code', {}, person.did)), field({ label: trans.__('You call them'), help }, name));
  const read = async () => {
    const sent: CallThem = { did: person.did, name: name.value.trim() };
    return sent.name ? { path: 'people/name', body: sent } : trans.__('A name has letters.');
  };
  return answered(model, { title: trans.__('Name somebody'), body, accept: trans.__('Give the name'), read });
}

export function connect(model: Model): Promise<CardData | null> {
  const { trans } = model.host;
  const url = textInput('', { type: 'url', inputmode: 'url', placeholder: 'https://…', maxlength: 2000, 'data-autofocus': true });
  const name = textInput('', { maxlength: MAX_NAME });
  const help = trans.__('The address of an owner’s authority, as they gave it to you. Where it ends in # and a DID, the authority must have that DID.');
  const body = h(
    'div',
    {},
    field({ label: trans.__('URL'), help }, url),
    field({ label: trans.__('You call its owner'), help: trans.__('If you leave it empty, they are called by what they call themselves if that is not taken.') }, name)
  );
  const read = async () => {
    const sent: Connect = { url: url.value.trim(), name: name.value.trim() };
    return sent.url ? { path: 'people/connect', body: sent } : trans.__('An authority has a URL.');
  };
  return answered(model, { title: trans.__('Connect to an authority'), body, accept: trans.__('Connect'), read });
}

export function addContact(model: Model): Promise<CardData | null> {
  const { trans } = model.host;
  const id = freshId('file');
  const file = h('input', { type: 'file', id, accept: '.json,application/json', 'data-autofocus': true, 'aria-describedby': `${id}-help` });
  const name = textInput('', { maxlength: MAX_NAME });
  const words = trans.__('Somebody gave it to you so that results can be sealed to them. Its signature is checked.');
  const body = h(
    'div',
    {},
    h('div', { class: 'sls-field' }, h('label', { for: id }, trans.__('Contact file')), file, h('span', { class: 'sls-help', id: `${id}-help` }, words)),
    field({ label: trans.__('You call them') }, name)
  );
  const read = async () => {
    const [chosen] = file.files ?? [];
    if (chosen === undefined) {
      return trans.__('Choose a file.');
    }
    if (chosen.size > MAX_CONTACT_BYTES) {
      return trans.__('That file is too large to be a contact.');
    }
    const sent: AddContact = { text: await chosen.text(), name: name.value.trim() };
    return { path: 'people/contact', body: sent };
  };
  return answered(model, { title: trans.__('Add a contact'), body, accept: trans.__('Add'), read });
}

/** The dialog stays open, and says why, until the server has done it. */
async function answered(model: Model, { title, body, accept, read }: IQuestion): Promise<CardData | null> {
  let card: CardData | null = null;
  const check = async () => {
    const found = await read();
    if (typeof found === 'string') {
      return found;
    }
    card = (await model.api.post<CardAnswer>(found.path, found.body)).card;
    return '';
  };
  await model.ask({ title, body, accept, check });
  return card;
}
