/** Cards of runs in notebooks: the HTML that the kernel wrote, and the run as it is where that is no longer so. */

import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { htmlRendererFactory, IRenderMimeRegistry } from '@jupyterlab/rendermime';
import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import { PanelLayout, Widget } from '@lumino/widgets';
import { Refusal } from '../core/api';
import { h, replace } from '../core/dom';
import type { Model } from '../core/model';
import { drawRun } from '../core/steps';
import { Clock } from '../core/time';
import type { RunPage } from '../core/types';
import { cardOfModel, RUN_MIME, type IRunCard } from './saved';
import { ISls } from './tokens';

const RANK = 40; // before text/html, which is 50
const GATHER_MS = 100; // events of one step come in groups
const inSight = new Map<string, number>(); // run -> cards of it that are seen
const ENDED: ReadonlySet<string> = new Set(['done', 'failed', 'cancelled']);

/**
 * The HTML of the same bundle, by JupyterLab's own renderer and its rules for what is not trusted. Over it, where the
 * server knows the run and it is not where the card left it, the run as the server tells it.
 */
class RunCard extends Widget implements IRenderMime.IRenderer {
  private readonly live = h('div', { class: 'sls-live sls-ui' });
  private readonly clock: Clock;
  private readonly observer: IntersectionObserver;
  private readonly undo: (() => void)[];
  private card: IRunCard | null = null;
  private seen = false;
  private due = false;
  private working = false;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly html: IRenderMime.IRenderer,
    private readonly model: Model
  ) {
    super();
    this.addClass('sls-run-card');
    const layout = (this.layout = new PanelLayout());
    layout.addWidget(html);
    layout.addWidget(new Widget({ node: this.live }));
    this.live.hidden = true;
    this.clock = new Clock(this.live, model.host.trans);
    this.observer = new IntersectionObserver(entries => this.see(entries.some(one => one.isIntersecting)));
    this.observer.observe(this.node);
    const look = () => this.look();
    document.addEventListener('visibilitychange', look);
    this.undo = [
      () => document.removeEventListener('visibilitychange', look),
      model.updated.on(look),
      model.told.on(event => event.id === this.card?.run && this.later()),
      model.changed.on(section => section === 'runs' && this.later())
    ];
  }

  override dispose(): void {
    this.see(false);
    this.undo.splice(0).forEach(undo => undo());
    clearTimeout(this.timer);
    this.clock.stop();
    this.observer.disconnect();
    super.dispose();
  }

  async renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    this.count(-1);
    this.card = cardOfModel(model);
    this.count(1);
    await this.html.renderModel(model);
    if (this.goesOn) {
      this.due = true;
      this.look();
    } else {
      this.showHtml();
    }
  }

  /** By the card's own word; a run that has ended is not asked about. */
  private get goesOn(): boolean {
    return this.card !== null && !ENDED.has(this.card.state);
  }

  private see(seen: boolean): void {
    this.count(-1);
    this.seen = seen;
    this.count(1);
    this.look();
  }

  private count(one: 1 | -1): void {
    if (this.seen && this.card !== null) {
      inSight.set(this.card.run, (inSight.get(this.card.run) ?? 0) + one);
    }
  }

  private later(): void {
    if (this.goesOn) {
      this.due = true;
      this.timer ??= setTimeout(() => {
        this.timer = undefined;
        this.look();
      }, GATHER_MS);
    }
  }

  private look(): void {
    const shown = this.seen && !document.hidden && !this.isDisposed;
    if (!shown) {
      this.clock.stop();
      return;
    }
    if (!this.live.hidden) {
      this.clock.start();
    }
    const { about, half } = this.model;
    if (!this.due || this.working || this.timer !== undefined || half !== 'ready' || about === null || this.card === null) {
      return;
    }
    const { home, persona } = this.card;
    if (home !== about.home || !about.personas.includes(persona)) {
      return; // another home's run, or nobody's: its card is all that is known
    }
    this.due = false;
    this.working = true;
    void this.ask(this.card).finally(() => {
      this.working = false;
      this.look();
    });
  }

  private async ask(card: IRunCard): Promise<void> {
    try {
      const page = await this.model.api.get<RunPage>(`runs/${encodeURIComponent(card.run)}`, { persona: card.persona });
      if (!this.isDisposed && this.card === card && page.row.id === card.run) {
        this.draw(page, card);
      }
    } catch (error) {
      if (!(error instanceof Refusal)) {
        throw error;
      }
      // the run is not known here, or nobody answers: the HTML stays
    }
  }

  private draw(page: RunPage, card: IRunCard): void {
    if (!page.row.going && page.row.state === card.state) {
      this.showHtml();
      return;
    }
    const { trans } = this.model.host;
    const other = card.persona === this.model.persona ? null : h('p', { class: 'sls-sub' }, trans.__('A run of %1', card.persona));
    replace(this.live, other, drawRun(page, trans));
    this.live.hidden = false;
    this.html.hide();
    if (page.row.going) {
      this.clock.start();
    } else {
      this.clock.stop();
    }
  }

  private showHtml(): void {
    this.clock.stop();
    this.live.hidden = true;
    this.html.show();
  }
}

/** Whether somebody sees a card of the run, which says itself how it ended. */
export function isInSight(run: string): boolean {
  return (inSight.get(run) ?? 0) > 0 && !document.hidden;
}

export const runsPlugin: JupyterFrontEndPlugin<void> = {
  id: 'sls-jupyter:runs',
  description: 'Cards of runs in notebooks that go on with their run.',
  autoStart: true,
  requires: [ISls],
  optional: [IRenderMimeRegistry],
  activate: (_: JupyterFrontEnd, { model }: ISls, registry: IRenderMimeRegistry | null): void => {
    registry?.addFactory(
      {
        safe: true, // no more of the bundle is drawn than its HTML, and that as HTML that is not trusted
        mimeTypes: [RUN_MIME],
        createRenderer: options => {
          const html = registry.getFactory('text/html') ?? htmlRendererFactory;
          return new RunCard(html.createRenderer({ ...options, mimeType: 'text/html' }), model);
        }
      },
      RANK
    );
  }
};
