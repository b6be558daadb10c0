/** A section that is a list: search above it, the one thing that is open beside it, keys for both. */

import { Actions } from './actions';
import { h, replace, type Child } from './dom';
import { Finder } from './finder';
import { ListView, type IGroup } from './list';
import type { Model } from './model';
import { Opened } from './opened';
import { refusal, SectionView } from './section';
import { SplitView } from './split';
import { Clock } from './time';

export interface IFound<Row> {
  readonly groups: readonly IGroup<Row>[];
  readonly total: number;
  /** What stands above the rows: sessions, authorities that are silent. */
  readonly before?: readonly Child[];
}

export interface IListWords {
  /** What the rows are. */
  readonly rows: string;
  /** What the search is for. */
  readonly search: string;
  /** What a list without rows says. */
  readonly none: string;
}

export abstract class ListSection<Row, Page> extends SectionView {
  protected readonly list: ListView<Row>;
  protected readonly split: SplitView<Row>;
  protected readonly opened: Opened<Page>;
  /** What came of the buttons of the thing that is open. */
  protected readonly actions: Actions;
  private readonly finder: Finder;
  private readonly clock: Clock;
  private readonly notice = h('div', { class: 'sls-said', role: 'status' });
  private readonly before = h('div', { class: 'sls-before' });
  private whose = '';
  private stale = false;

  constructor(
    model: Model,
    private readonly words: IListWords,
    above: readonly Child[] = []
  ) {
    super(model);
    const { host } = model;
    this.actions = new Actions(host);
    this.finder = new Finder(host.trans, words.search, () => this.refresh(true));
    this.list = new ListView<Row>({ label: words.rows, key: row => this.keyOf(row), draw: row => this.drawRow(row), open: row => this.reveal(this.keyOf(row)) });
    this.opened = new Opened<Page>({ ask: id => this.askPage(id), draw: page => this.drawOpened(page), fail: error => this.failed(error) });
    this.disposers.push(model.updated.on(() => this.leave()));
    this.split = new SplitView<Row>({
      trans: host.trans,
      list: this.list,
      above: [...above, this.finder.box, this.notice, this.before],
      below: [this.finder.more],
      closed: () => this.shut(),
      open: row => this.reveal(this.keyOf(row))
    });
    this.clock = new Clock(this.node, host.trans);
    this.node.append(this.split.node);
  }

  protected abstract ask(query: { readonly q: string; readonly most: number }): Promise<IFound<Row>>;
  protected abstract keyOf(row: Row): string;
  /** A row is the content of a button. */
  protected abstract drawRow(row: Row): readonly Child[];
  protected abstract askPage(id: string): Promise<Page>;
  protected abstract drawPage(page: Page): readonly Child[];
  protected abstract titleOf(page: Page): string;

  override show(): void {
    this.leave();
    super.show();
    this.clock.start();
    if (this.stale && !this.isWorking) {
      this.again(); // else it is asked for with the list
    }
  }

  override hide(): void {
    super.hide();
    this.clock.stop();
  }

  override reveal(id: string): void {
    if (id !== this.opened.id) {
      this.actions.clear();
      replace(this.split.detail, h('p', { class: 'sls-sub' }, this.model.host.trans.__('Asking …')));
    }
    this.list.show(id);
    this.split.open(this.model.host.trans.__('Details'), true);
    this.opened.open(id);
  }

  override key(event: KeyboardEvent): void {
    this.split.key(event);
  }

  /** Ask for the open thing again: now, or when it is looked at the next time. */
  protected again(): void {
    this.stale = !this.isShown;
    if (this.isShown) {
      this.opened.refresh();
    }
  }

  protected async load(): Promise<void> {
    this.leave();
    const found = await this.ask(this.finder.query);
    const shown = found.groups.reduce((sum, group) => sum + group.rows.length, 0);
    replace(this.notice);
    this.list.set(found.groups);
    const none = found.total === 0 && this.finder.query.q === '';
    replace(this.before, ...(found.before ?? []), none ? h('p', { class: 'sls-none' }, this.words.none) : null);
    this.finder.told(shown, found.total);
    this.again();
  }

  /** The rows stay: what could not be had is said above them. */
  protected override fail(error: unknown): void {
    const { trans } = this.model.host;
    const retry = this.actions.button('retry', trans.__('Try again'), () => Promise.resolve([]));
    retry.addEventListener('click', () => this.refresh(true));
    replace(this.notice, refusal(error, trans.__('The list could not be had.'), trans), retry);
  }

  /** Another persona's rows, and what of theirs is open, are nobody's business: they go at once. */
  private leave(): void {
    if (this.whose === this.model.persona) {
      return;
    }
    this.whose = this.model.persona;
    this.split.close();
    this.finder.clear();
    this.list.set([]);
    replace(this.before);
    replace(this.notice);
  }

  private shut(): void {
    this.opened.close();
    this.list.show('');
    this.actions.clear();
  }

  private drawOpened(page: Page): void {
    this.split.open(this.titleOf(page), false);
    replace(this.split.detail, ...this.drawPage(page));
  }

  private failed(error: unknown): void {
    const { trans } = this.model.host;
    const words = trans.__('This could not be had.');
    if (this.opened.page === null) {
      replace(this.split.detail, refusal(error, words, trans));
    } else {
      this.actions.say(refusal(error, words, trans));
    }
  }
}
