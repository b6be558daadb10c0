/** Authorities that do not answer, so that nobody takes their silence for having nothing. */

import { warning } from './card';
import { h } from './dom';
import type { Silence } from './types';

export function silence(one: Silence): HTMLElement {
  return h('div', { class: 'sls-silent' }, warning(one.words, 'note'), one.hint ? h('p', { class: 'sls-sub' }, `→ ${one.hint}`) : null);
}
