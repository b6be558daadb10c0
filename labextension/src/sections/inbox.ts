/** The inbox: who asks to run which code on which assets; those that wait for a decision stand first. */

import { mark, signedChip, warning } from '../core/card';
import { button, h, type Child } from '../core/dom';
import { ListSection, type IFound } from '../core/list-section';
import type { Model } from '../core/model';
import { personName } from '../core/person';
import { shortened } from '../core/short';
import { silence } from '../core/silence';
import { isTyping } from '../core/split';
import { age } from '../core/time';
import type { Inbox, RequestPage, RequestRow } from '../core/types';
import { showKeys } from './keys';
import { RequestView } from './request';

export class InboxSection extends ListSection<RequestRow, RequestPage> {
  readonly id = 'requests';
  readonly label: string;
  protected readonly about = ['requests'] as const;
  private rows: readonly RequestRow[] = [];
  private view: { readonly key: string; readonly request: RequestView } | null = null; // outlives a page that is closed, with its reason

  constructor(model: Model) {
    const { trans } = model.host;
    const keys = button('?', () => void this.showKeys(), { class: 'sls-quiet sls-help-button', title: trans.__('Keys'), 'aria-label': trans.__('Keys'), 'data-key': 'keys' });
    super(
      model,
      {
        rows: trans.__('Requests'),
        search: trans.__('Search requests'),
        none: trans.__('Nobody has asked for anything. When somebody wants to run code on your assets, it is here for you to read and to decide.')
      },
      [keys]
    );
    this.label = trans.__('Inbox');
    this.node.addEventListener('keydown', event => this.ownKey(event));
  }

  protected async ask(query: { readonly q: string; readonly most: number }): Promise<IFound<RequestRow>> {
    const { trans } = this.model.host;
    const { rows, total, doubts, silent } = await this.model.api.get<Inbox>('requests', query);
    this.rows = rows;
    const waiting = rows.filter(waits);
    const others = rows.filter(row => !waits(row));
    const groups = [
      { heading: trans.__('Waiting for you'), rows: waiting },
      { heading: waiting.length > 0 ? trans.__('Others') : '', rows: others }
    ];
    return { groups, total, before: [...doubts.map(words => warning(words)), ...silent.map(silence)] };
  }

  protected keyOf(row: RequestRow): string {
    return row.id;
  }

  protected drawRow(row: RequestRow): readonly Child[] {
    const { trans } = this.model.host;
    const asked = row.created_at > 0 ? age(row.created_at, trans) : trans.__('time not said');
    const sign = row.own ? trans.__('you asked') : '';
    return [
      h('span', { class: 'sls-row-head' }, h('span', { class: 'sls-row-who' }, ...personName(row.who, trans)), h('span', { class: 'sls-row-age' }, asked)),
      row.who.warning ? h('span', { class: 'sls-row-why' }, `✗ ${row.who.warning}`) : null,
      h('span', { class: 'sls-row-about' }, row.purpose ? trans.__('“%1”', shortened(row.purpose)) : trans.__('no purpose stated')),
      h('span', { class: 'sls-row-about sls-sub' }, shortened(row.assets.join(', '), 200)),
      h(
        'span',
        { class: 'sls-row-foot' },
        signedChip(waits(row) ? trans.__('waits for you') : row.state, row.tone),
        row.simulated ? mark('SIMULATED') : null,
        row.session ? h('span', {}, row.session) : null,
        sign ? h('span', {}, sign) : null,
        h('code', { class: 'sls-row-age' }, row.short)
      )
    ];
  }

  protected askPage(id: string): Promise<RequestPage> {
    return this.model.api.get<RequestPage>(`requests/${encodeURIComponent(id)}`);
  }

  protected titleOf(page: RequestPage): string {
    return page.card.title;
  }

  protected drawPage(page: RequestPage): readonly Child[] {
    const key = `${this.model.persona} ${page.row.id}`;
    if (this.view?.key !== key) {
      const request = new RequestView({
        model: this.model,
        next: after => this.rows.find(row => waits(row) && row.id !== after),
        open: next => this.reveal(next),
        again: () => this.again()
      });
      this.view = { key, request };
    }
    this.view.request.draw(page);
    return [this.view.request.node, this.actions.said];
  }

  override key(event: KeyboardEvent): void {
    super.key(event);
    this.ownKey(event);
  }

  private ownKey(event: KeyboardEvent): void {
    if (event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey || isTyping(event.target)) {
      return;
    }
    const run = this.runOf(event.key);
    if (run !== undefined) {
      event.preventDefault();
      event.stopPropagation();
      run();
    }
  }

  private runOf(key: string): (() => void) | undefined {
    const request = this.split.isOpen ? this.view?.request : undefined;
    switch (key) {
      case '?':
        return () => void this.showKeys();
      case 'o':
        return () => this.openCurrent();
      case 'a':
        return request && (() => request.focusApprove());
      case 'd':
        return request && (() => request.focusDeny());
      default:
        return undefined;
    }
  }

  private openCurrent(): void {
    const row = this.list.move(0);
    if (row !== undefined) {
      this.reveal(row.id);
    }
  }

  private async showKeys(): Promise<void> {
    const { trans } = this.model.host;
    await showKeys(this.model.host, [
      [['j', 'k'], trans.__('next and previous request')],
      [['Enter', 'o'], trans.__('open it')],
      [['a'], trans.__('go to Approve, which asks before anything is signed')],
      [['d'], trans.__('go to the reason, to deny')],
      [['Esc'], trans.__('back to the list')],
      [['?'], trans.__('these keys')]
    ]);
  }
}

/** Whether it waits for this persona's decision. */
export function waits(row: RequestRow): boolean {
  return row.mine_to_decide && row.state === 'open';
}
