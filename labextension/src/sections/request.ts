/** One request as it will run, for whoever has to say yes or no. What is other than before stands first. */

import { drawBlocks, drawCard } from '../core/card';
import { button, h, replace, type Child } from '../core/dom';
import type { Model } from '../core/model';
import { personName, personWarning } from '../core/person';
import { shortened } from '../core/short';
import { age } from '../core/time';
import type { CardData, Decided, RequestPage, RequestRow } from '../core/types';
import { DecisionForm } from './decision';
import { drawDifference, drawEarlier, drawMet } from './request-parts';

export interface IRequestOptions {
  readonly model: Model;
  /** Another request that waits; it is offered when this one is decided. */
  readonly next: (after: string) => RequestRow | undefined;
  readonly open: (id: string) => void;
  /** The page is out of date. */
  readonly again: () => void;
}

export class RequestView {
  readonly node = h('div', { class: 'sls-request' });
  private readonly form: DecisionForm;
  private readonly outcome = h('div', { class: 'sls-outcome', tabindex: -1, 'data-key': 'outcome' });
  private page: RequestPage | null = null;
  private decided: Decided | null = null;
  private drawn = '';

  constructor(private readonly options: IRequestOptions) {
    this.form = new DecisionForm({ model: options.model, done: decided => this.done(decided), failed: options.again });
  }

  draw(page: RequestPage): void {
    this.page = page;
    this.form.set(page);
    const drawn = JSON.stringify([page, this.decided]);
    if (drawn !== this.drawn) {
      this.drawn = drawn;
      replace(this.node, ...this.parts(page));
    }
  }

  focusApprove(): void {
    if (this.form.node.isConnected) {
      this.form.focusApprove();
    }
  }

  focusDeny(): void {
    if (this.form.node.isConnected) {
      this.form.focusDeny();
    }
  }

  private parts(page: RequestPage): readonly Child[] {
    const { trans } = this.options.model.host;
    return [
      this.who(page),
      this.card(page),
      this.code(page),
      h('h4', {}, trans.__('Decided before on these assets')),
      page.met === null ? drawMet(null, trans) : drawEarlier(page.earlier, trans),
      this.end(page)
    ];
  }

  private who({ row, met }: RequestPage): HTMLElement {
    const { trans } = this.options.model.host;
    const asked = row.created_at > 0 ? h('span', { class: 'sls-sub' }, '· ', age(row.created_at, trans)) : null;
    const who = h('p', {}, ...personName(row.who, trans), ' ', trans.__('asks'), ' ', asked);
    return h('div', { class: 'sls-asks' }, who, personWarning(row.who), row.own ? null : drawMet(met, trans));
  }

  /** Doubts, then the difference, then the rest of the card. */
  private card(page: RequestPage): HTMLElement {
    const { trans } = this.options.model.host;
    const { blocks } = page.card;
    const calm = blocks.findIndex(block => block.kind !== 'warn');
    const doubts = calm < 0 ? blocks : blocks.slice(0, calm);
    const bare: CardData = { ...page.card, blocks: doubts };
    const card = drawCard(bare, trans);
    if (page.difference !== null) {
      card.append(drawDifference(page.difference, trans));
    }
    card.append(...drawBlocks(blocks.slice(doubts.length), trans));
    return card;
  }

  /** The whole code; folded where the difference shows what is new. */
  private code(page: RequestPage): HTMLElement {
    const { trans } = this.options.model.host;
    const blocks = drawBlocks(page.code, trans);
    if (page.difference === null) {
      return h('div', {}, h('h4', {}, trans.__('Code')), ...blocks);
    }
    return h('details', {}, h('summary', { 'data-key': 'whole code' }, h('strong', {}, trans.__('The whole code'))), ...blocks);
  }

  private end(page: RequestPage): HTMLElement | null {
    const { trans } = this.options.model.host;
    if (this.decided !== null) {
      replace(this.outcome, drawCard(this.decided.card, trans, 4), this.offer(page.row.id));
      return this.outcome;
    }
    if (page.can_decide) {
      return this.form.node;
    }
    const decided = page.row.mine_to_decide && page.row.state !== 'open';
    const others = page.row.own ? trans.__('You asked for this; its owner decides.') : trans.__('There is nothing for you to decide here.');
    const words = decided ? trans.__('Nothing waits here any more: it is %1, as its authority says.', page.row.state) : others;
    return h('p', { class: 'sls-sub' }, words);
  }

  private offer(after: string): HTMLElement {
    const { trans } = this.options.model.host;
    const next = this.options.next(after);
    if (next === undefined) {
      return h('p', { class: 'sls-sub' }, trans.__('No other request waits for you.'));
    }
    const words = trans.__('Next: %1, %2', next.who.words, next.purpose ? trans.__('“%1”', shortened(next.purpose, 80)) : trans.__('no purpose stated'));
    return h('div', { class: 'sls-buttons' }, button(words, () => this.options.open(next.id), { class: 'sls-primary', 'data-key': 'next' }));
  }

  private done(decided: Decided): void {
    this.decided = decided;
    if (this.page !== null) {
      this.draw(this.page);
    }
    this.outcome.focus();
    this.outcome.scrollIntoView({ block: 'nearest' });
    this.options.again();
  }
}
