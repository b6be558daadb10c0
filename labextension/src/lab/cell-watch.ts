/** One cell of a notebook that is open: its edge, and its line while it runs elsewhere. */

import type { Cell } from '@jupyterlab/cells';
import type { PanelLayout } from '@lumino/widgets';
import type { Model } from '../core/model';
import { sentence } from '../core/api';
import type { Preflight, RequestPage } from '../core/types';
import { CellLine, preflightBody } from './cell-line';
import { tell } from './host';
import type { Preferences } from './preferences';
import { magicOf } from './saved';
import { Soon } from './soon';

const BELOW_INPUT = 2; // of a cell's layout: header, input, line, …

export interface ICellActions {
  readonly detached: () => void;
  /** Show a request by its id, or all of them. */
  readonly request: (id: string) => void;
}

export class CellWatch {
  private readonly soon: Soon;
  private line: CellLine | null = null;
  private remote = false;
  private seen = false;
  private found: Preflight | null = null;
  private known = ''; // what the line was made of

  constructor(
    readonly cell: Cell,
    private readonly model: Model,
    private readonly preferences: Preferences,
    private readonly actions: ICellActions
  ) {
    this.soon = new Soon(signal => this.ask(signal), () => this.seen && !document.hidden && model.half === 'ready' && model.persona !== '');
    cell.model.contentChanged.connect(this.look, this);
    this.look();
  }

  dispose(): void {
    this.soon.stop();
    this.cell.model?.contentChanged.disconnect(this.look, this); // a cell that is gone has none
    this.line?.dispose();
  }

  get isRemote(): boolean {
    return this.remote;
  }

  /** It came into view, or went out of it. */
  set visible(seen: boolean) {
    this.seen = seen;
    this.soon.look();
  }

  /** Something that its line rests on may be otherwise. */
  again(milliseconds = this.preferences.delay): void {
    if (this.line !== null && this.mark() !== this.known) {
      this.found = null;
      this.line.wait();
      this.soon.in(milliseconds);
    }
  }

  /** Its text, or a setting, is another one. */
  look(): void {
    const magic = this.cell.model.type === 'code' ? magicOf(this.text) : null;
    this.remote = magic === 'safestream';
    this.cell.toggleClass('sls-remote-cell', this.remote);
    this.cell.toggleClass('sls-seal-cell', magic === 'seal');
    if (!this.remote || !this.preferences.preflight) {
      this.soon.stop();
      this.line?.dispose();
      this.line = null;
      this.known = '';
      return;
    }
    if (this.line === null) {
      const request = () => void this.request().then(id => this.actions.request(id));
      this.line = new CellLine(this.model.host.trans, { request, details: () => void this.details(), detached: this.actions.detached });
      void this.cell.ready.then(() => this.insert());
    }
    this.again();
  }

  /** Everything that preflight has to say, in a dialog. */
  async details(): Promise<void> {
    const { host, api } = this.model;
    const { trans } = host;
    try {
      const found = await api.post<Preflight>('preflight', { cell: this.text });
      this.line?.tell(found);
      await tell(trans.__('Before this cell runs'), preflightBody(found, trans), trans);
    } catch (error) {
      host.notify(sentence(error, trans.__('Something went wrong.')));
    }
  }

  /** The id of the request that was made for exactly this cell; empty where there is none. */
  private async request(): Promise<string> {
    const { api } = this.model;
    try {
      const { request } = this.found ?? (await api.post<Preflight>('preflight', { cell: this.text }));
      return request ? (await api.get<RequestPage>(`requests/${encodeURIComponent(request)}`)).row.id : '';
    } catch {
      return ''; // none is known: the inbox shows what there is, and what is wrong
    }
  }

  private get text(): string {
    return this.cell.model.sharedModel.getSource();
  }

  private insert(): void {
    if (this.line !== null && !this.line.isDisposed && !this.cell.isDisposed && this.line.parent === null) {
      (this.cell.layout as PanelLayout).insertWidget(BELOW_INPUT, this.line);
    }
  }

  private mark(): string {
    const { model } = this;
    return [model.persona, model.revision('assets'), model.revision('requests'), this.text].join('\n');
  }

  private async ask(signal: AbortSignal): Promise<void> {
    const mark = this.mark();
    try {
      const found = await this.model.api.post<Preflight>('preflight', { cell: this.text }, {}, signal);
      if (!signal.aborted) {
        this.known = mark;
        this.found = found;
        this.line?.tell(found);
      }
    } catch (error) {
      if (!signal.aborted) {
        this.line?.fail(error instanceof Error ? error.message : String(error));
      }
    }
  }
}
