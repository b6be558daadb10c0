/** Receipts: a file from anywhere is dropped or chosen, those of this persona's own runs are listed; each is verified by the server. */

import { readFile, type IFile } from '../core/bytes';
import { mark } from '../core/card';
import { button, h, replace, type Child } from '../core/dom';
import { ListView } from '../core/list';
import type { Model } from '../core/model';
import { refusal, SectionView } from '../core/section';
import { shortened } from '../core/short';
import { SplitView } from '../core/split';
import { age, Clock } from '../core/time';
import type { File as Text, Party, ReceiptRow, Receipts } from '../core/types';
import { ReceiptView } from './receipt-view';

export class ReceiptsSection extends SectionView {
  readonly id = 'receipts';
  readonly label: string;
  protected readonly about = ['runs'] as const;
  private readonly list: ListView<ReceiptRow>;
  private readonly split: SplitView<ReceiptRow>;
  private readonly notice = h('div', { class: 'sls-said', role: 'status' });
  private readonly clock: Clock;
  private parties: readonly Party[] | null = null;
  private whose = '';
  private turn = 0;

  constructor(model: Model) {
    super(model);
    const { trans } = model.host;
    this.label = trans.__('Receipts');
    this.list = new ListView<ReceiptRow>({ label: trans.__('Receipts of your runs'), key: row => row.run, draw: row => this.drawRow(row), open: row => this.reveal(row.run) });
    const closed = () => {
      this.turn += 1;
      this.list.show('');
    };
    this.split = new SplitView<ReceiptRow>({ trans, list: this.list, above: [this.dropZone(), this.notice], closed, open: row => this.reveal(row.run) });
    this.clock = new Clock(this.node, trans);
    this.node.append(this.split.node);
  }

  override show(): void {
    super.show();
    this.clock.start();
  }

  override hide(): void {
    super.hide();
    this.clock.stop();
  }

  /** Verify the receipt of a run. */
  override reveal(run: string): void {
    this.list.show(run);
    void this.fromRun(run);
  }

  /** Verify a file. */
  open(file: IFile): void {
    this.turn += 1;
    const view = new ReceiptView(this.model, file, () => this.parties);
    replace(this.split.detail, view.node);
    this.split.open(this.model.host.trans.__('Verification of %1', file.name), true);
    void view.verify();
  }

  protected async load(): Promise<void> {
    if (this.whose !== this.model.persona) {
      this.whose = this.model.persona;
      this.split.close();
      this.list.set([]);
    }
    const { trans } = this.model.host;
    const { rows, parties } = await this.model.api.get<Receipts>('receipts');
    this.parties = parties;
    replace(this.notice, rows.length === 0 ? h('p', { class: 'sls-none' }, trans.__('Your runs have no receipts yet; those of others can be verified all the same.')) : null);
    this.list.set([{ heading: rows.length > 0 ? trans.__('Receipts of your runs') : '', rows }]);
  }

  protected override fail(error: unknown): void {
    const { trans } = this.model.host;
    replace(this.notice, refusal(error, trans.__('The list could not be had.'), trans), button(trans.__('Try again'), () => this.refresh(true), { 'data-key': 'retry' }));
  }

  private drawRow(row: ReceiptRow): readonly Child[] {
    const { trans } = this.model.host;
    return [
      h('span', { class: 'sls-row-head' }, h('strong', { class: 'sls-row-who' }, shortened(row.inputs.join(', '), 200) || trans.__('no inputs')), h('span', { class: 'sls-row-age' }, age(row.at, trans))),
      row.purpose ? h('span', { class: 'sls-row-about' }, shortened(row.purpose)) : null,
      h('span', { class: 'sls-row-foot' }, ...row.marks.map(mark), h('code', {}, row.run))
    ];
  }

  private async fromRun(run: string): Promise<void> {
    this.turn += 1;
    const { turn, model } = this;
    const { trans } = model.host;
    replace(this.split.detail, h('p', { class: 'sls-sub' }, trans.__('Asking …')));
    this.split.open(trans.__('Receipt of run %1', run), true);
    try {
      const { name, text } = await model.api.get<Text>(`runs/${encodeURIComponent(run)}/receipt`);
      if (turn === this.turn) {
        this.open({ name, data: new TextEncoder().encode(text) });
      }
    } catch (error) {
      if (turn === this.turn) {
        replace(this.split.detail, refusal(error, trans.__('This run has no receipt.'), trans));
      }
    }
  }

  /** Where a file is dropped, and a button that chooses one. */
  private dropZone(): HTMLElement {
    const { trans } = this.model.host;
    const picker = h('input', { type: 'file', hidden: true, accept: '.json,.ipynb,.cbor,application/json' });
    picker.addEventListener('change', () => {
      void this.take(picker.files);
      picker.value = '';
    });
    const choose = button(trans.__('Verify a receipt…'), () => picker.click(), { class: 'sls-primary', 'data-key': 'choose' });
    const zone = h('div', { class: 'sls-drop' }, choose, picker, h('p', { class: 'sls-sub' }, trans.__('or drop a file here: a receipt, evidence of a TEE, or a notebook that was run')));
    zone.addEventListener('dragover', event => {
      event.preventDefault();
      zone.classList.add('sls-over-it');
    });
    zone.addEventListener('dragleave', () => zone.classList.remove('sls-over-it'));
    zone.addEventListener('drop', event => {
      event.preventDefault();
      event.stopPropagation();
      zone.classList.remove('sls-over-it');
      void this.take(event.dataTransfer?.files ?? null);
    });
    return zone;
  }

  private async take(files: FileList | null): Promise<void> {
    const [file] = files ?? [];
    if (file === undefined) {
      return;
    }
    const read = await readFile(file, this.model.host.trans);
    if (typeof read === 'string') {
      replace(this.notice, h('div', { class: 'sls-refusal', role: 'alert' }, h('p', {}, read)));
      return;
    }
    this.open(read);
  }
}
