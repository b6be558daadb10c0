/** The panel: whose it is, its sections as tabs, and what is missing where something is. */

import { mark } from './core/card';
import { h, replace, freshId } from './core/dom';
import type { Model } from './core/model';
import { refusal, type SectionView } from './core/section';

export class PanelView {
  readonly node: HTMLElement;
  private readonly header = h('header', { class: 'sls-panel-head' });
  private readonly notice = h('div', { class: 'sls-notice', role: 'status', 'aria-live': 'polite' });
  private readonly tabs: readonly { readonly view: SectionView; readonly tab: HTMLButtonElement; readonly pane: HTMLElement }[];
  private current: SectionView;
  private shown = false;
  private readonly disposers: readonly (() => void)[];

  constructor(
    readonly model: Model,
    sections: readonly SectionView[],
    /** Called when somebody wants to be somebody else. */
    private readonly choosePersona: () => void
  ) {
    const { trans } = model.host;
    const [first] = sections;
    if (first === undefined) {
      throw new Error('a panel has sections');
    }
    this.current = first;
    this.tabs = sections.map(view => this.tabOf(view));
    const list = h('div', { class: 'sls-tabs', role: 'tablist', 'aria-label': trans.__('Sections') }, ...this.tabs.map(one => one.tab));
    list.addEventListener('keydown', event => this.move(event));
    list.addEventListener('keydown', event => this.current.key(event));
    this.node = h(
      'section',
      { class: 'sls-panel', 'aria-label': trans.__('SafeStreams') },
      this.header,
      this.notice,
      list,
      ...this.tabs.map(one => one.pane)
    );
    const wanted = sections.map(view => view.wanted.on(({ section, id }) => this.open(section, id)));
    this.disposers = [model.updated.on(() => this.draw()), ...wanted];
    this.choose(first, false);
    this.draw();
  }

  get sections(): readonly SectionView[] {
    return this.tabs.map(one => one.view);
  }

  show(): void {
    this.shown = true;
    this.current.show();
  }

  hide(): void {
    this.shown = false;
    this.current.hide();
  }

  /** Bring a section to the front, and one thing of it. */
  open(id: string, thing = ''): void {
    const found = this.tabs.find(one => one.view.id === id);
    if (found !== undefined) {
      this.choose(found.view, true);
      if (thing) {
        found.view.reveal(thing);
      }
    }
  }

  dispose(): void {
    for (const dispose of this.disposers) {
      dispose();
    }
    for (const { view } of this.tabs) {
      view.dispose();
    }
  }

  private tabOf(view: SectionView) {
    const id = freshId('pane');
    const tab = h('button', { type: 'button', role: 'tab', class: 'sls-tab', 'aria-controls': id, id: `${id}-tab`, on: { click: () => this.choose(view, true) } }, view.label);
    const pane = h('div', { role: 'tabpanel', id, class: 'sls-pane', 'aria-labelledby': `${id}-tab`, tabindex: 0 }, h('h2', { class: 'sls-unseen' }, view.label), view.node);
    pane.addEventListener('keydown', event => event.target === pane && view.key(event));
    return { view, tab, pane };
  }

  private choose(view: SectionView, focus: boolean): void {
    if (this.current !== view) {
      this.current.hide();
      this.current = view;
    }
    for (const one of this.tabs) {
      const chosen = one.view === view;
      one.tab.setAttribute('aria-selected', String(chosen));
      one.tab.tabIndex = chosen ? 0 : -1;
      one.pane.hidden = !chosen;
      if (chosen && focus) {
        one.tab.focus();
      }
    }
    if (this.shown) {
      view.show();
    }
  }

  private move(event: KeyboardEvent): void {
    const at = this.tabs.findIndex(one => one.view === this.current);
    const last = this.tabs.length - 1;
    const to = { ArrowRight: at === last ? 0 : at + 1, ArrowLeft: at === 0 ? last : at - 1, Home: 0, End: last }[event.key];
    const found = to === undefined ? undefined : this.tabs[to];
    if (found !== undefined) {
      event.preventDefault();
      this.choose(found.view, true);
    }
  }

  private draw(): void {
    const { trans } = this.model.host;
    const { status, half, trouble } = this.model;
    const waiting = status?.waiting ?? 0;
    for (const { view, tab } of this.tabs) {
      const count = view.id === 'requests' && waiting > 0 ? ` (${waiting})` : '';
      tab.textContent = view.label + count;
      if (count) {
        tab.setAttribute('aria-label', trans._n('%2, %1 waiting for you', '%2, %1 waiting for you', waiting, waiting, view.label));
      } else {
        tab.removeAttribute('aria-label');
      }
    }
    const who = h(
      'button',
      { type: 'button', class: 'sls-persona', 'data-key': 'persona', 'aria-haspopup': 'menu', title: status?.did ?? '', on: { click: () => this.choosePersona() } },
      h('strong', {}, status?.persona ?? this.model.persona),
      status ? h('code', {}, status.short) : null
    );
    replace(this.header, status || this.model.persona ? who : null, ...(status?.marks ?? []).map(mark));
    if (half === 'starting') {
      replace(this.notice, h('p', {}, trans.__('Asking the server …')));
    } else if (half !== 'ready') {
      replace(this.notice, refusal(trouble, trans.__('The server half is not there.'), trans));
    } else {
      replace(this.notice, status?.trouble ? h('p', { class: 'sls-warn sls-note' }, `! ${status.trouble}`) : null);
    }
    this.node.classList.toggle('sls-waits', half !== 'ready');
  }
}
