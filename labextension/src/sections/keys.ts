/** The keys of a section, in a dialog. */

import { h } from '../core/dom';
import type { IHost } from '../core/host';

export type Keys = readonly (readonly [keys: readonly string[], does: string])[];

export async function showKeys(host: IHost, keys: Keys): Promise<void> {
  const { trans } = host;
  const list = h('dl', { class: 'sls-keys' });
  for (const [names, does] of keys) {
    const caps = names.flatMap((name, at) => [at > 0 ? ' ' : '', h('kbd', {}, name)]);
    list.append(h('dt', {}, ...caps), h('dd', {}, does));
  }
  await host.ask({ title: trans.__('Keys'), body: list, accept: trans.__('Close') });
}
