/** Somebody, named as this persona may name them: a petname that it gave, or `unknown · z6Mk…abcd`. */

import { warning } from './card';
import { h, type Child } from './dom';
import type { ITranslate } from './host';
import type { Person } from './types';

/** The name that counts, and beside it, in quotation marks, what they call themselves. It is made of phrases. */
export function personName(person: Person, trans: ITranslate): readonly Child[] {
  if (person.petname === null) {
    return [h('strong', {}, person.words)]; // which has what they say in it
  }
  const said = person.said && person.said !== person.petname ? h('span', { class: 'sls-sub' }, trans.__('“%1”', person.said)) : null;
  return [h('strong', {}, person.petname), ' ', h('code', { class: 'sls-sub' }, person.short), said ? ' ' : null, said];
}

/** The sentence that a name looks like one that is known; nothing where it does not. */
export function personWarning(person: Person): HTMLElement | null {
  return person.warning ? warning(person.warning, 'bad') : null;
}
