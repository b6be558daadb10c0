/** Sessions of many cells: how many cells they have had, how long they have been idle, and the end of them. */

import { Actions } from '../core/actions';
import { drawCard, signedChip } from '../core/card';
import { h, type Child } from '../core/dom';
import type { Model } from '../core/model';
import { shortened } from '../core/short';
import { elapsed, lasting } from '../core/time';
import type { CardAnswer, SessionRow } from '../core/types';

export class SessionRows {
  private readonly actions: Actions;

  constructor(private readonly model: Model) {
    this.actions = new Actions(model.host);
  }

  /** Those that go on are seen; those that are over are folded. */
  draw(rows: readonly SessionRow[]): readonly Child[] {
    const { trans } = this.model.host;
    if (rows.length === 0) {
      return [this.actions.said];
    }
    const open = rows.filter(row => !isOver(row));
    const over = rows.filter(isOver);
    const words = trans._n('%1 session is over', '%1 sessions are over', over.length, over.length);
    return [
      h('h3', { class: 'sls-list-heading' }, trans.__('Sessions')),
      open.length > 0 ? this.rows(open) : null,
      this.actions.said,
      over.length > 0 ? h('details', { class: 'sls-over' }, h('summary', { 'data-key': 'sessions over' }, words), this.rows(over)) : null
    ];
  }

  private rows(rows: readonly SessionRow[]): HTMLElement {
    return h('ul', { class: 'sls-sessions', role: 'list', 'aria-label': this.model.host.trans.__('Sessions') }, ...rows.map(row => this.row(row)));
  }

  private row(row: SessionRow): HTMLElement {
    const { trans } = this.model.host;
    const close = isOver(row) ? null : this.actions.button(`close ${row.id}`, trans.__('Close…'), () => this.close(row));
    close?.setAttribute('aria-label', trans.__('Close session %1', row.name));
    return h(
      'li',
      { class: 'sls-session' },
      h('span', { class: 'sls-row-head' }, h('strong', {}, row.name), signedChip(row.state, row.tone)),
      h('span', { class: 'sls-row-about' }, shortened([row.inputs.join(', '), row.purpose].filter(one => one).join(' · '))),
      h('span', { class: 'sls-sub' }, trans.__('%1 of %2 cells', row.cells, row.most), ...this.idle(row)),
      close
    );
  }

  private idle(row: SessionRow): Child[] {
    const { trans } = this.model.host;
    if (isOver(row)) {
      return [];
    }
    if (row.idle_since === null) {
      return row.cells > 0 ? [' · ', trans.__('a cell runs')] : [];
    }
    return [' · ', trans.__('idle for'), ' ', elapsed(row.idle_since, trans), ' ', trans.__('of at most %1', lasting(row.idle_seconds, trans))];
  }

  private async close(row: SessionRow): Promise<readonly Child[]> {
    const { host, api } = this.model;
    const { trans } = host;
    const words = trans.__('Its container group ends: its variables are gone and no further cell can run in it. Results that you have stay.');
    const body = h('div', { class: 'sls-form' }, h('p', {}, words));
    if (!(await this.model.ask({ title: trans.__('Close session %1?', row.name), body, accept: trans.__('Close the session'), warn: true }))) {
      return [];
    }
    const { card } = await api.post<CardAnswer>(`sessions/${encodeURIComponent(row.name)}/close`, {});
    return [drawCard(card, trans)];
  }
}

/** A session that is over may not be idle any more. */
function isOver(row: SessionRow): boolean {
  return row.idle_seconds === 0;
}
