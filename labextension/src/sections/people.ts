/** People: this user's personas, everybody who is known here by a name, and the authorities that are connected. */

import { chip, drawCard, signedChip, warning } from '../core/card';
import { button, h, replace, type Child } from '../core/dom';
import { Finder } from '../core/finder';
import type { Model } from '../core/model';
import { personName, personWarning } from '../core/person';
import { refusal, SectionView } from '../core/section';
import { silence } from '../core/silence';
import type { AuthorityRow, CardData, ContactRow, People, PersonaRow } from '../core/types';
import { compareFold } from './compare';
import { addContact, connect, nameThem } from './people-dialogs';
import { newPersona } from './persona';

export class PeopleSection extends SectionView {
  readonly id = 'people';
  readonly label: string;
  protected readonly about = ['people'] as const;
  private readonly finder: Finder;
  private readonly said = h('div', { class: 'sls-said', role: 'status' });
  private readonly body = h('div', {});
  private found: People | null = null;
  private whose = '';

  constructor(model: Model) {
    super(model);
    const { trans } = model.host;
    this.label = trans.__('People');
    this.finder = new Finder(trans, trans.__('Search people'), () => this.draw());
    const bar = h(
      'div',
      { class: 'sls-bar', role: 'group', 'aria-label': trans.__('People') },
      button(trans.__('Connect…'), () => void this.done(connect(model)), { 'data-key': 'connect' }),
      button(trans.__('Add contact…'), () => void this.done(addContact(model)), { 'data-key': 'contact' }),
      button(trans.__('New persona…'), () => void this.make(), { 'data-key': 'new' })
    );
    this.node.classList.add('sls-people');
    this.node.append(bar, this.said, this.body);
  }

  protected async load(): Promise<void> {
    const persona = this.model.persona;
    if (this.whose !== persona) {
      this.whose = persona;
      this.found = null;
      this.finder.clear();
      replace(this.said);
      replace(this.body, h('p', { class: 'sls-sub' }, this.model.host.trans.__('Asking …')));
    }
    this.found = await this.model.api.get<People>('people');
    this.draw();
  }

  /** What is shown stays: what could not be had is said above it. */
  protected override fail(error: unknown): void {
    const { trans } = this.model.host;
    replace(this.said, refusal(error, trans.__('The list could not be had.'), trans), button(trans.__('Try again'), () => this.refresh(true), { 'data-key': 'retry' }));
  }

  private draw(): void {
    const { found } = this;
    if (found === null) {
      return;
    }
    const { trans } = this.model.host;
    const { q, most } = this.finder.query;
    const known = found.contacts.filter(row => has(row, q));
    this.finder.told(Math.min(known.length, most), known.length);
    replace(
      this.body,
      ...found.silent.map(silence),
      ...part(trans.__('Your personas'), found.personas.map(row => this.persona(row))),
      h('h3', {}, trans.__('Known to %1', this.model.persona)),
      this.finder.box,
      list(known.slice(0, most).map(row => this.contact(row))),
      this.finder.more,
      ...part(trans.__('Connected authorities'), found.authorities.map(row => this.authority(row)), trans.__('None yet: Connect asks for the address of one.'))
    );
  }

  private persona({ name, did }: PersonaRow): HTMLElement {
    const { host } = this.model;
    const { trans } = host;
    const me = name === this.model.persona;
    const be = me
      ? chip(trans.__('this panel'), 'good')
      : button(trans.__('Be this persona'), () => this.model.become(name), { 'data-key': `be ${name}`, 'aria-label': trans.__('Be this persona: %1', name) });
    return h('li', {}, h('div', { class: 'sls-person' }, h('strong', { class: 'sls-person-name' }, name), be), compareFold({ at: `persona ${name}`, did }, host));
  }

  private contact({ person, key, me }: ContactRow): HTMLElement {
    const { host } = this.model;
    const { trans } = host;
    const rename = button(trans.__('Name…'), () => void this.done(nameThem(this.model, person)), {
      'data-key': `name ${person.did}`,
      'aria-label': trans.__('Name… %1', person.words)
    });
    const mine = me || this.found?.personas.some(one => one.did === person.did); // goes by the name of its folder
    const known = key ? signedChip(trans.__('key known'), 'good') : chip(trans.__('key not known'));
    return h(
      'li',
      {},
      h('div', { class: 'sls-person' }, h('span', { class: 'sls-person-name' }, ...personName(person, trans)), me ? chip(trans.__('you')) : mine ? chip(trans.__('yours')) : null, known, mine ? null : rename),
      personWarning(person),
      compareFold({ at: `contact ${person.did}`, did: person.did, key }, host)
    );
  }

  private authority({ url, did, owner, mine, trouble }: AuthorityRow): HTMLElement {
    const { host } = this.model;
    const { trans } = host;
    return h(
      'li',
      {},
      h('div', { class: 'sls-person' }, h('code', { class: 'sls-person-name' }, url), mine ? chip(trans.__('yours')) : null),
      h('p', {}, h('span', { class: 'sls-sub' }, trans.__('of'), ' '), ...personName(owner, trans)),
      personWarning(owner),
      trouble ? warning(trouble, 'note') : null,
      compareFold({ at: `authority ${url}`, did }, host)
    );
  }

  /** Show what a dialog did; a card that nobody asked for any more is not shown. */
  private async done(dialog: Promise<CardData | null>): Promise<void> {
    const persona = this.model.persona;
    const card = await dialog;
    if (card !== null && persona === this.model.persona) {
      replace(this.said, drawCard(card, this.model.host.trans, 4));
      this.refresh(true);
    }
  }

  private async make(): Promise<void> {
    const name = await newPersona(this.model);
    if (name !== null) {
      this.model.host.notify(this.model.host.trans.__('%1 has keys now.', name), { label: this.model.host.trans.__('Be this persona'), run: () => this.model.become(name) });
      this.refresh(true);
    }
  }
}

function part(heading: string, rows: readonly HTMLElement[], none = ''): readonly Child[] {
  return [h('h3', {}, heading), rows.length > 0 ? list(rows) : h('p', { class: 'sls-sub' }, none)];
}

function list(rows: readonly HTMLElement[]): HTMLElement {
  return h('ul', { class: 'sls-persons', role: 'list' }, ...rows);
}

function has({ person, key }: ContactRow, words: string): boolean {
  const text = [person.words, person.said, person.did, key].join(' ').toLowerCase();
  return words.toLowerCase().split(/\s+/).every(word => text.includes(word));
}
