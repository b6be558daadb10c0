/** Authorities that do not answer, so that nobody takes their silence for having nothing. */

import { h } from './dom';
import type { Silence } from './types';

export function silence(one: Silence): HTMLElement {
  return h('div', { class: 'sls-silence sls-note' }, h('p', {}, `! ${one.words}`), one.hint ? h('p', { class: 'sls-sub' }, `→ ${one.hint}`) : null);
}
