/** Authorities that do not answer, so that nobody takes their silence for having nothing. */

import { warning } from '../core/card';
import { h } from '../core/dom';
import type { Silence } from '../core/types';

export function drawSilent(silent: readonly Silence[], so: string): HTMLElement[] {
  return silent.map(one => h('div', { class: 'sls-silent' }, warning(`${one.words} ${so}`, 'note'), one.hint ? h('p', { class: 'sls-sub' }, `→ ${one.hint}`) : null));
}
