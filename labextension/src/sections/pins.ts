/** What a receipt is expected to be of: known owners, known logs, and whether a simulated TEE is good enough. */

import { h } from '../core/dom';
import { checkbox } from '../core/fields';
import type { ITranslate } from '../core/host';
import type { Party, VerifyAsked } from '../core/types';

type Chosen = Required<Pick<VerifyAsked, 'owners' | 'logs' | 'accept_simulated'>>;

export class Pins {
  readonly node: HTMLElement;
  private readonly ticks: readonly { readonly party: Party; readonly box: HTMLInputElement }[];
  private readonly simulated: HTMLInputElement;

  constructor(parties: readonly Party[], trans: ITranslate, changed: () => void) {
    const drawn = parties.map(party => ({ party, ...checkbox({ label: party.words, help: party.did }) }));
    this.ticks = drawn;
    const simulated = checkbox({ label: trans.__('Accept a simulated TEE'), help: trans.__('It proves that the parts fit together, and nothing about hardware.') });
    this.simulated = simulated.box;
    const group = (role: Party['role'], words: string) => {
      const nodes = drawn.filter(one => one.party.role === role).map(one => one.node);
      return nodes.length > 0 ? h('fieldset', { class: 'sls-pins' }, h('legend', {}, words), ...nodes) : null;
    };
    this.node = h(
      'details',
      { class: 'sls-expect' },
      h('summary', {}, trans.__('What you expect of it')),
      group('owner', trans.__('Its owners are')),
      group('log', trans.__('Its logs are')),
      parties.length === 0 ? h('p', { class: 'sls-sub' }, trans.__('You know nobody yet: name owners and connect authorities in People.')) : null,
      simulated.node
    );
    this.node.addEventListener('change', changed);
  }

  unfold(): void {
    this.node.setAttribute('open', '');
  }

  chosen(): Chosen {
    const dids = (role: Party['role']) => this.ticks.filter(one => one.party.role === role && one.box.checked).map(one => one.party.did);
    return { owners: dids('owner'), logs: dids('log'), accept_simulated: this.simulated.checked };
  }
}
