/** What can be done with a run: buttons, and the questions that some of them ask first. */

import { bar, offerCell, type Actions } from '../core/actions';
import { drawCard } from '../core/card';
import { h, type Child } from '../core/dom';
import { field, textInput } from '../core/fields';
import type { Model } from '../core/model';
import type { CardAnswer, File, RunPage, Saved } from '../core/types';

export interface IRunPlace {
  readonly model: Model;
  readonly actions: Actions;
  /** The run as it is after an action. */
  readonly took: (page: RunPage) => void;
  /** Show what its receipt proves. */
  readonly verify: (run: string) => void;
}

/** The buttons that a run has now. */
export function runBar(page: RunPage, place: IRunPlace): HTMLElement {
  const { model, actions } = place;
  const { trans, notebooks } = model.host;
  const { row } = page;
  const can = (what: (typeof row.actions)[number]) => row.actions.includes(what);
  const nothing = (run: () => void | Promise<void>) => async () => {
    await run();
    return [];
  };
  return bar(
    trans.__('Actions'),
    notebooks && actions.button('reveal', trans.__('Show cell'), nothing(() => reveal(row.id, model))),
    can('result') && notebooks && actions.button('insert', trans.__('Insert result cell'), nothing(() => offerCell(model.host, `%sls result ${row.id}`))),
    can('result') && actions.button('result', trans.__('Save results…'), () => saveResult(row.id, place)),
    can('receipt') && actions.button('verify', trans.__('Verify receipt'), nothing(() => place.verify(row.id))),
    can('receipt') && actions.button('receipt', trans.__('Save receipt'), () => saveReceipt(row.id, place)),
    can('audit') && actions.button('audit', trans.__('Audit'), () => audit(row.id, place)),
    can('audit') && actions.button('report', trans.__('Print report'), () => report(row.id, place)),
    can('cancel') && actions.button('cancel', trans.__('Cancel…'), () => cancel(page, place))
  );
}

function path(run: string, what: string): string {
  return `runs/${encodeURIComponent(run)}/${what}`;
}

function reveal(run: string, model: Model): void {
  const { host } = model;
  if (!host.notebooks?.revealRun(run)) {
    host.notify(host.trans.__('No open notebook has the cell of this run.'));
  }
}

async function cancel(page: RunPage, { model, took }: IRunPlace): Promise<readonly Child[]> {
  const { trans } = model.host;
  const body = h(
    'div',
    { class: 'sls-form' },
    h('p', {}, page.title),
    h('p', {}, trans.__('Its container group is deleted. What it computed so far is lost, and the log keeps that it was cancelled.'))
  );
  const sure = await model.ask({ title: trans.__('Cancel this run?'), body, accept: trans.__('Yes, cancel the run'), warn: true });
  if (sure) {
    took(await model.api.post<RunPage>(path(page.row.id, 'cancel'), {}));
  }
  return [];
}

async function saveResult(run: string, { model }: IRunPlace): Promise<readonly Child[]> {
  const { trans } = model.host;
  const folder = textInput(`results/${run}`);
  const help = trans.__('Below the folder that this Jupyter server shows; it is made where it is not there.');
  const body = h('div', { class: 'sls-form' }, field({ label: trans.__('Folder'), help }, folder));
  const check = () => (folder.value.trim() ? '' : trans.__('Name a folder.'));
  if (!(await model.ask({ title: trans.__('Save the results'), body, accept: trans.__('Save'), check }))) {
    return [];
  }
  const saved = await model.api.post<Saved>(path(run, 'result'), { folder: folder.value.trim() });
  const words = trans._n('%1 file is in %2:', '%1 files are in %2:', saved.files.length, saved.files.length, saved.folder);
  return [h('p', {}, `✓ ${words}`), h('ul', {}, ...saved.files.map(file => h('li', {}, h('code', {}, file.replace(`${saved.folder}/`, '')))))];
}

async function saveReceipt(run: string, { model }: IRunPlace): Promise<readonly Child[]> {
  const file = await model.api.get<File>(path(run, 'receipt'));
  await model.host.saveFile(file.name, file.text);
  return [];
}

async function audit(run: string, { model }: IRunPlace): Promise<readonly Child[]> {
  const { card } = await model.api.get<CardAnswer>(path(run, 'audit'));
  return [drawCard(card, model.host.trans)];
}

async function report(run: string, { model }: IRunPlace): Promise<readonly Child[]> {
  const file = await model.api.get<File>(path(run, 'report'));
  model.host.openDocument(file.name, file.text);
  return [];
}
