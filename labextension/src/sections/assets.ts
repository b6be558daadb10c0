/** Sealed assets, this persona's and others': what is in them, what may be done with them, and what would happen to a cell. */

import { chip, drawCard, mark, signedChip, table } from '../core/card';
import { button, h, type Child } from '../core/dom';
import { ListSection, type IFound } from '../core/list-section';
import type { Model } from '../core/model';
import { personName, personWarning } from '../core/person';
import { isSimulated, shortened } from '../core/short';
import { silence } from '../core/silence';
import { age } from '../core/time';
import type { AssetPage, AssetRow, Assets, Choice, ColumnRow, Tone, VersionRow } from '../core/types';
import { assetBar } from './asset-actions';
import { sealDialog } from './seal-dialog';

const CHOICES: Readonly<Record<Choice['verdict'], Tone>> = { run: 'good', ask: 'wait', no: 'bad', unknown: 'note' };

export class AssetsSection extends ListSection<AssetRow, AssetPage> {
  readonly id = 'assets';
  readonly label: string;
  protected readonly about = ['assets'] as const;

  constructor(model: Model) {
    const { trans } = model.host;
    const seal = button(trans.__('Seal…'), () => void sealDialog(model), { class: 'sls-primary', 'data-key': 'seal' });
    super(
      model,
      {
        rows: trans.__('Assets'),
        search: trans.__('Search assets'),
        none: trans.__('There are no sealed assets here yet. Seal a table, or make another owner’s authority known in People.')
      },
      [h('div', { class: 'sls-top' }, seal)]
    );
    this.label = trans.__('Assets');
  }

  protected async ask(query: { readonly q: string; readonly most: number }): Promise<IFound<AssetRow>> {
    const { trans } = this.model.host;
    const { rows, total, silent } = await this.model.api.get<Assets>('assets', query);
    const groups = [
      { heading: trans.__('Mine'), rows: rows.filter(row => row.mine) },
      { heading: trans.__('Of others'), rows: rows.filter(row => !row.mine) }
    ];
    return { groups, total, before: silent.map(silence) };
  }

  protected keyOf(row: AssetRow): string {
    return row.id;
  }

  protected drawRow(row: AssetRow): readonly Child[] {
    const { trans } = this.model.host;
    const kind = row.kind === 'code' ? trans.__('code') : trans.__('table');
    const about = [kind, row.content, row.size].filter(one => one !== '').join(' · ');
    return [
      h('strong', { class: 'sls-row-about' }, shortened(row.called, 200)),
      h('span', { class: 'sls-row-about' }, about),
      row.purposes.length > 0 ? h('span', { class: 'sls-row-about' }, shortened(trans.__('for %1', row.purposes.join(', ')))) : null,
      row.simulated ? h('span', { class: 'sls-row-foot' }, mark('SIMULATED')) : null
    ];
  }

  protected askPage(id: string): Promise<AssetPage> {
    return this.model.api.get<AssetPage>(`assets/${encodeURIComponent(id)}`);
  }

  protected titleOf(page: AssetPage): string {
    return page.row.called;
  }

  protected drawPage(page: AssetPage): readonly Child[] {
    const { trans } = this.model.host;
    const { row } = page;
    return [
      h('div', { class: 'sls-head' }, h('h3', {}, row.called), row.simulated ? mark('SIMULATED') : null),
      h('p', {}, trans.__('of'), ' ', ...(row.mine ? [h('strong', {}, trans.__('you'))] : personName(row.owner, trans))),
      row.mine ? null : personWarning(row.owner),
      h('p', { class: 'sls-sub' }, [row.content, row.size, row.tees.filter(tee => !isSimulated(tee)).join(', ')].filter(one => one !== '').join(' · ')),
      this.choice(page.choice),
      assetBar(page, this.model, this.actions, () => this.refresh(true)),
      this.actions.said,
      row.kind === 'table' ? this.columns(page.columns) : null,
      h('h4', {}, trans.__('Policy')),
      page.policy.length > 0 ? h('ul', { class: 'sls-policy' }, ...page.policy.map(line => h('li', {}, line))) : h('p', {}, trans.__('It is not said.')),
      this.versions(page.versions),
      h('details', {}, h('summary', { 'data-key': 'card' }, trans.__('Digests, log entry and keys')), drawCard(page.card, trans, 4))
    ];
  }

  /** What would happen to a cell over it. */
  private choice(choice: Choice): HTMLElement {
    const because = choice.because.length > 0 ? h('ul', {}, ...choice.because.map(line => h('li', {}, line))) : null;
    return h('div', { class: `sls-outlook sls-${CHOICES[choice.verdict]}` }, signedChip(choice.words, CHOICES[choice.verdict]), because);
  }

  private columns(columns: readonly ColumnRow[]): HTMLElement {
    const { trans } = this.model.host;
    const granted = (column: ColumnRow) => (column.granted ? signedChip(trans.__('granted'), 'good') : chip(trans.__('– never granted')));
    const rows = columns.map(column => h('li', {}, h('code', {}, column.name), h('span', { class: 'sls-sub' }, column.type), granted(column)));
    return h('div', {}, h('h4', {}, trans.__('Columns')), h('ul', { class: 'sls-columns', role: 'list' }, ...rows));
  }

  private versions(versions: readonly VersionRow[]): HTMLElement | null {
    const { trans } = this.model.host;
    if (versions.length === 0) {
      return null;
    }
    const state = (version: VersionRow) => (version.state === 'open' ? signedChip(trans.__('open'), 'good') : signedChip(trans.__('closed'), 'note'));
    const rows = versions.map(version => [h('span', {}, `${version.number}`), h('span', {}, age(version.at, trans)), state(version), h('code', { title: version.id }, begin(version.id))]);
    const list = table([trans.__('version'), trans.__('sealed'), trans.__('state'), trans.__('digest')], rows);
    const words = trans._n('%1 version', '%1 versions', versions.length, versions.length);
    return h('details', {}, h('summary', { 'data-key': 'versions' }, words), list);
  }
}

/** Enough of a digest to tell it from others. */
function begin(digest: string): string {
  return `${digest.slice(0, 'sha256:'.length + 12)}…`;
}
