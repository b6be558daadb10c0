/** What can be done with an asset: a cell over it, and for its owner another policy or the end of it. */

import { bar, offerCell, type Actions } from '../core/actions';
import { drawCard } from '../core/card';
import { h, type Child } from '../core/dom';
import { checkbox } from '../core/fields';
import type { Model } from '../core/model';
import type { AssetPage, CardAnswer } from '../core/types';
import { sealDialog } from './seal-dialog';

/** The buttons of an asset; `done` is called when it is otherwise than it was. */
export function assetBar(page: AssetPage, model: Model, actions: Actions, done: () => void): HTMLElement {
  const { host } = model;
  const { trans } = host;
  const { row } = page;
  const insert = async () => {
    await offerCell(host, page.insert);
    return [];
  };
  const edit = async () => {
    await sealDialog(model, { frame: row.name, name: row.name, code: row.kind === 'code', edit: true });
    return [];
  };
  return bar(
    trans.__('Actions'),
    actions.button('insert', host.notebooks ? trans.__('Insert cell') : trans.__('Copy cell'), insert, 'sls-primary'),
    row.mine && actions.button('edit', trans.__('Edit policy…'), edit),
    row.mine && actions.button('withdraw', trans.__('Withdraw…'), () => withdraw(page, model, done))
  );
}

async function withdraw(page: AssetPage, model: Model, done: () => void): Promise<readonly Child[]> {
  const { host } = model;
  const { trans } = host;
  const shred = checkbox({
    label: trans.__('Shred: destroy its keys, too'),
    help: trans.__('From what your authority stores then, nobody can open it again: not those who were granted it, and not you. This cannot be undone. Your own copy of the data stays where it is.')
  });
  const body = h(
    'div',
    { class: 'sls-form' },
    h('p', {}, trans.__('Your authority gives no new grant for this version of %1, and no keys on grants that it gave before.', page.row.called)),
    page.versions.length > 1 ? h('p', {}, trans.__('Other versions stay as they are.')) : null,
    h('p', {}, trans.__('Results that left stay where they are, and a group that holds keys already runs to its end. The log keeps that you withdrew it.')),
    shred.node
  );
  if (!(await model.ask({ title: trans.__('Withdraw %1?', page.row.called), body, accept: trans.__('Withdraw'), warn: true }))) {
    return [];
  }
  const { card } = await model.api.post<CardAnswer>(`assets/${encodeURIComponent(page.row.id)}/withdraw`, { shred: shred.box.checked });
  done();
  return [drawCard(card, trans, 4)];
}
