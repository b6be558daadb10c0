/** The panel as a page of its own, for who has no notebook: `sls open`. */

import { h } from '../core/dom';
import { Model } from '../core/model';
import { PanelView } from '../panel';
import { makeSections } from '../sections';
import { choosePersona } from '../sections/persona';
import { pageHost } from './host';

function start(): void {
  const { baseUrl = '/', version = '', persona = '' } = document.documentElement.dataset;
  const host = pageHost(baseUrl);
  const { trans } = host;
  const model = new Model(host, version);
  const panel = new PanelView(model, makeSections(model), () => void choosePersona(model));
  const look = () => (document.hidden ? panel.hide() : panel.show());
  document.addEventListener('visibilitychange', look);
  model.updated.on(() => {
    const waiting = model.status?.waiting ?? 0;
    const name = model.persona ? trans.__('%1 – SafeStreams', model.persona) : trans.__('SafeStreams');
    document.title = waiting > 0 ? `(${waiting}) ${name}` : name;
  });
  model.told.on(event => {
    if (event.type === 'asked') {
      host.notify(event.words, { label: trans.__('Review'), run: () => panel.open('requests', event.id) });
    } else if (event.type === 'ended') {
      host.notify(event.words, { label: trans.__('Show'), run: () => panel.open('runs', event.id) });
    }
  });
  document.body.append(h('main', {}, h('h1', { class: 'sls-unseen' }, trans.__('SafeStreams')), panel.node));
  look();
  model.start(persona);
}

start();
