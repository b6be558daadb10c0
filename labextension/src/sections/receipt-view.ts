/**
 * One file, and what it proves: the verdict first, then who, what left, which log, and each check.
 *
 * It is verified by the server's Python, with the same function as `sls verify`; nothing is verified here.
 */

import { sentence } from '../core/api';
import { toBase64, type IFile } from '../core/bytes';
import { button, h, replace, type Child } from '../core/dom';
import { drawCard, mark } from '../core/card';
import { Emitter } from '../core/emitter';
import type { Model } from '../core/model';
import { refusal } from '../core/section';
import type { CardData, File, Party, Receipts, Verified } from '../core/types';
import { Pins } from './pins';

export class ReceiptView {
  readonly node: HTMLElement;
  /** The server has looked at the file. */
  readonly verified = new Emitter<Verified>();
  private readonly verdict = h('div', {});
  private readonly pinned = h('div', {});
  private readonly cards = h('div', {});
  private pins: Pins | null = null;
  private simulated = false; // and refused: whether such a TEE is good enough is for the person to say
  private turn = 0;

  constructor(
    private readonly model: Model,
    private readonly file: IFile,
    /** Whom it can be pinned to, if that is known; asked for otherwise. */
    private readonly parties: () => readonly Party[] | null = () => null
  ) {
    this.node = h('div', { class: 'sls-receipt' }, this.verdict, this.pinned, this.cards);
  }

  /** Have it verified, with what is pinned now. */
  async verify(): Promise<void> {
    this.turn += 1;
    const { turn, model } = this;
    this.node.setAttribute('aria-busy', 'true');
    if (this.verdict.childElementCount === 0) {
      replace(this.verdict, h('p', { class: 'sls-sub' }, model.host.trans.__('Verifying %1 …', this.file.name)));
    }
    const [verdict, ...cards] = await this.found();
    if (turn === this.turn) {
      replace(this.verdict, verdict);
      replace(this.cards, ...cards);
      this.node.removeAttribute('aria-busy');
    }
    if (this.pins === null) {
      await this.askParties();
    }
    if (this.simulated) {
      this.pins?.unfold();
    }
  }

  private async found(): Promise<readonly Child[]> {
    const { api, host } = this.model;
    const asked = { name: this.file.name, data: toBase64(this.file.data), ...(this.pins?.chosen() ?? {}) };
    try {
      const found = await api.post<Verified>('verify', asked);
      this.verified.emit(found);
      return this.draw(found);
    } catch (error) {
      return [drawVerdict(host.trans.__('NOT VERIFIED'), 'bad', [host.trans.__('It could not be looked at.')], this.file.name), refusal(error, host.trans.__('Something went wrong.'), host.trans)];
    }
  }

  private draw(found: Verified): readonly Child[] {
    const { trans } = this.model.host;
    const word = found.accepted ? trans.__('ACCEPTED') : trans.__('REFUSED');
    const why = found.verdict.replace(/^(ACCEPTED|REFUSED)[^:]*: /, '');
    const failed = failedChecks(found.cards).filter(name => !why.includes(name));
    const lines = [...failed.map(name => `✗ ${name}`), why];
    const report = found.run ? button(trans.__('Print report'), () => void this.report(found.run), { 'data-key': 'report' }) : null;
    const marks = [...new Set(found.cards.flatMap(card => card.marks))];
    this.simulated = !found.accepted && marks.includes('SIMULATED');
    return [drawVerdict(word, found.accepted ? 'good' : 'bad', lines, this.file.name, marks), report, ...found.cards.map(card => drawCard(card, trans))];
  }

  private async report(run: string): Promise<void> {
    const { api, host } = this.model;
    try {
      const file = await api.get<File>(`runs/${encodeURIComponent(run)}/report`);
      host.openDocument(file.name, file.text);
    } catch (error) {
      host.notify(sentence(error, host.trans.__('There is no report.')));
    }
  }

  private async askParties(): Promise<void> {
    try {
      this.offer(this.parties() ?? (await this.model.api.get<Receipts>('receipts')).parties);
    } catch {
      this.offer([]); // what is verified does not rest on them; the box for simulated TEEs is there
    }
  }

  private offer(parties: readonly Party[]): void {
    this.pins = new Pins(parties, this.model.host.trans, () => void this.verify());
    replace(this.pinned, this.pins.node);
  }
}

/** The verdict as a word with its sign, and what it rests on; what no hardware signed has a dashed edge and says so. */
function drawVerdict(word: string, tone: 'good' | 'bad', lines: readonly string[], name: string, marks: readonly string[] = []): HTMLElement {
  const sign = tone === 'good' ? '✓' : '✗';
  const edge = marks.includes('SIMULATED') ? ' sls-dashed' : '';
  return h(
    'div',
    { class: `sls-verdict sls-${tone}${edge}`, role: tone === 'good' ? 'status' : 'alert' },
    h('p', { class: 'sls-verdict-word' }, `${sign} ${word}`),
    ...lines.map(line => h('p', { class: 'sls-verdict-why' }, line)),
    h('p', { class: 'sls-verdict-file' }, ...marks.flatMap(one => [mark(one), ' ']), name)
  );
}

/** The names of the checks that failed, in the order of their cards. */
function failedChecks(cards: readonly CardData[]): readonly string[] {
  const blocks = cards.flatMap(card => card.blocks);
  return blocks.flatMap(block => (block.kind === 'checks' ? block.checks.filter(one => !one.ok).map(one => one.name) : []));
}
