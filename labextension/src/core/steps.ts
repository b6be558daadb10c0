/** A run drawn: its steps with their times, what they found, what it rests on, what was withheld. */

import { mark, signedChip, warning } from './card';
import { h, type Child } from './dom';
import type { ITranslate } from './host';
import { elapsed } from './time';
import type { RunPage, StepRow } from './types';

const SIGNS: Readonly<Record<StepRow['state'], string>> = { waiting: '·', active: '…', done: '✓', failed: '✗' };

function stateWord(state: StepRow['state'], trans: ITranslate): string {
  const words = { waiting: trans.__('not yet'), active: trans.__('now'), done: trans.__('done'), failed: trans.__('failed') };
  return words[state];
}

/** The whole run as a card, for a place that has nothing around it. */
export function drawRun(page: RunPage, trans: ITranslate): HTMLElement {
  return h('article', { class: `sls-card sls-run sls-${page.row.tone || 'plain'}` }, drawRunHead(page, trans), drawSteps(page, trans));
}

/** Its name, its state, which TEE it runs in, and how long it has been going on. */
export function drawRunHead(page: RunPage, trans: ITranslate): HTMLElement {
  const { row } = page;
  const since = row.going && row.started_at > 0 ? h('span', { class: 'sls-sub', role: 'timer' }, trans.__('for'), ' ', elapsed(row.started_at, trans)) : null;
  return h('div', { class: 'sls-head' }, h('h3', {}, page.title), signedChip(row.state, row.tone), ...row.marks.map(mark), since);
}

/**
 * What the run waits for or why it ended, its steps, and what it came to.
 *
 * Nothing in it can be pressed but the folds of evidence, so that it can be redrawn at any moment; `replace` keeps these open.
 *
 * @param beside - what stands below the words that say what it waits for.
 */
export function drawSteps(page: RunPage, trans: ITranslate, beside: Child = null): HTMLElement {
  const { row, waits, summary, lines } = page;
  const items = page.steps.map(step => drawStep(step, trans));
  const ended = !row.going && row.reason ? warning(row.reason, row.tone === 'good' ? 'note' : row.tone) : null;
  return h(
    'div',
    { class: 'sls-steps-box' },
    waits ? warning(waits, 'wait') : null,
    beside,
    ended,
    h('ol', { class: 'sls-steps', 'aria-label': trans.__('Steps') }, ...items),
    summary ? h('p', { class: 'sls-summary' }, summary) : null,
    lines.length > 0 ? h('ul', { class: 'sls-withheld', 'aria-label': trans.__('What did not leave') }, ...lines.map(line => h('li', {}, line))) : null
  );
}

function drawStep(step: StepRow, trans: ITranslate): HTMLElement {
  const sign = h('span', { class: 'sls-step-sign', role: 'img', 'aria-label': stateWord(step.state, trans) }, SIGNS[step.state]);
  const name = h('span', { class: 'sls-step-name' }, step.name);
  const took = h('span', { class: 'sls-step-took' }, step.took);
  const current = step.state === 'active' ? 'step' : undefined;
  return h('li', { class: `sls-step sls-step-${step.state}`, 'aria-current': current }, sign, name, took, ...found(step, trans));
}

/** What a step found; its evidence is folded. */
function found(step: StepRow, trans: ITranslate): Child[] {
  if (step.evidence.length === 0) {
    return [step.detail ? h('span', { class: 'sls-step-found' }, step.detail) : null];
  }
  const lines = step.evidence.map(line => h('li', {}, h('code', {}, line)));
  const summary = h('summary', { 'data-key': `evidence ${step.name}` }, step.detail || trans.__('evidence'));
  return [h('details', { class: 'sls-step-found' }, summary, h('ul', { class: 'sls-evidence' }, ...lines))];
}
