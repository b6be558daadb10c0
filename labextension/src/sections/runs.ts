/** Runs and sessions of the persona, from any kernel or none: live steps, what a run waits for, and what came of it. */

import { mark, signedChip } from '../core/card';
import { h, type Child } from '../core/dom';
import { ListSection, type IFound } from '../core/list-section';
import type { Model } from '../core/model';
import { isSimulated, shortened } from '../core/short';
import { drawRunHead, drawSteps } from '../core/steps';
import { age } from '../core/time';
import type { RunPage, RunRow, Runs } from '../core/types';
import { runBar, type IRunPlace } from './run-actions';
import { SessionRows } from './session-rows';

export class RunsSection extends ListSection<RunRow, RunPage> {
  readonly id = 'runs';
  readonly label: string;
  protected readonly about = ['runs'] as const;
  private readonly sessions: SessionRows;

  constructor(model: Model) {
    const { trans } = model.host;
    super(model, {
      rows: trans.__('Runs'),
      search: trans.__('Search runs'),
      none: trans.__('You have no runs yet. A %1 cell makes one; it is listed here, whichever notebook it ran in.', '%%safestream')
    });
    this.label = trans.__('Runs');
    this.sessions = new SessionRows(model);
    this.disposers.push(model.told.on(event => event.type === 'run' && event.id === this.opened.id && this.again()));
  }

  protected async ask(query: { readonly q: string; readonly most: number }): Promise<IFound<RunRow>> {
    const { trans } = this.model.host;
    const { rows, total, sessions } = await this.model.api.get<Runs>('runs', query);
    const going = rows.filter(row => row.going);
    const ended = rows.filter(row => !row.going);
    const groups = [
      { heading: trans.__('Going on'), rows: going },
      { heading: going.length + sessions.length > 0 ? trans.__('Ended') : '', rows: ended }
    ];
    return { groups, total, before: this.sessions.draw(sessions) };
  }

  protected keyOf(row: RunRow): string {
    return row.id;
  }

  protected drawRow(row: RunRow): readonly Child[] {
    const { trans } = this.model.host;
    const place = row.session ? (row.cell === null ? row.session : trans.__('%1, cell %2', row.session, row.cell)) : '';
    const doing = row.going ? row.now : row.reason;
    return [
      h('span', { class: 'sls-row-head' }, signedChip(row.state, row.tone), h('span', { class: 'sls-row-age' }, age(row.started_at, trans))),
      h('strong', { class: 'sls-row-about' }, shortened(row.inputs.join(', '), 200) || trans.__('no inputs')),
      row.purpose ? h('span', { class: 'sls-row-about' }, shortened(row.purpose)) : null,
      doing ? h('span', { class: row.going ? 'sls-row-now' : 'sls-row-about' }, shortened(doing)) : null,
      h('span', { class: 'sls-row-foot' }, ...row.marks.map(mark), h('span', {}, h('code', {}, row.id), place ? ` · ${place}` : ''))
    ];
  }

  protected askPage(id: string): Promise<RunPage> {
    return this.model.api.get<RunPage>(`runs/${encodeURIComponent(id)}`);
  }

  protected titleOf(page: RunPage): string {
    return page.title;
  }

  protected drawPage(page: RunPage): readonly Child[] {
    const { trans } = this.model.host;
    return [
      drawRunHead(page, trans),
      this.told(page),
      runBar(page, this.place()),
      this.actions.said,
      drawSteps(page, trans, this.askLine(page))
    ];
  }

  /** What it is about; the kind of TEE is said once. */
  private told(page: RunPage): HTMLElement {
    const { row } = page;
    const words = [row.inputs.join(', '), row.purpose, isSimulated(row.tee) ? '' : row.tee].filter(one => one !== '');
    return h('p', { class: 'sls-sub' }, words.join(' · '));
  }

  /** A line to send to whoever the run waits for. */
  private askLine(page: RunPage): HTMLElement | null {
    if (!page.ask) {
      return null;
    }
    const { host } = this.model;
    const copy = this.actions.button('copy', host.trans.__('Copy'), async () => {
      await host.copy(page.ask);
      host.notify(host.trans.__('Copied.'));
      return [];
    });
    return h('div', { class: 'sls-ask' }, h('span', { class: 'sls-sub' }, host.trans.__('A line to send to them:')), h('code', { class: 'sls-ask-line' }, page.ask), copy);
  }

  private place(): IRunPlace {
    return {
      model: this.model,
      actions: this.actions,
      took: page => this.opened.take(page.row.id, page),
      verify: run => this.wanted.emit({ section: 'receipts', id: run })
    };
  }
}
