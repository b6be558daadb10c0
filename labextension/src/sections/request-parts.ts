/** Parts of a request's page: what is other than before, and what was decided before. */

import { chip, signedChip, table, units } from '../core/card';
import { append, h } from '../core/dom';
import type { ITranslate } from '../core/host';
import { shortened } from '../core/short';
import { age } from '../core/time';
import type { Difference, DiffRow, EarlierRow, Met } from '../core/types';

/** The request beside the one like it that was let run before. */
export function drawDifference(found: Difference, trans: ITranslate): HTMLElement {
  const said = trans.__('Beside request %1, which was %2 as its authority says:', found.id, found.state);
  const box = h(
    'section',
    { class: 'sls-difference', 'aria-label': trans.__('What is other than before') },
    h('h4', {}, trans.__('What is other than before'), ' ', chip(found.summary, found.summary ? 'note' : '')),
    h('p', {}, said)
  );
  if (found.changes.length > 0) {
    box.append(h('ul', {}, ...found.changes.map(one => h('li', {}, one))));
  }
  append(box, found.rows.length > 0 ? diffListing(found.rows, trans) : h('p', {}, trans.__('The code is the same.')));
  if (found.left_out > 0) {
    const words = trans._n('%1 more row is not shown here; the whole code is below.', '%1 more rows are not shown here; the whole code is below.', found.left_out, found.left_out);
    box.append(h('p', { class: 'sls-sub' }, words));
  }
  return box;
}

const LOOKS: Readonly<Record<DiffRow['sign'], string>> = { ' ': '', '+': ' sls-added', '-': ' sls-removed' };

/** Both line numbers and a sign before each row of code. */
function diffListing(rows: readonly DiffRow[], trans: ITranslate): HTMLElement {
  const lines = rows.map(row => (row.heading ? diffHeading(row) : diffRow(row)));
  return h('pre', { class: 'sls-code sls-diff', tabindex: 0, role: 'group', 'aria-label': trans.__('Code that changed') }, ...lines);
}

/** Which cell follows, or how much is left out. It has no place for numbers, so no row of code can look like it. */
function diffHeading(row: DiffRow): HTMLElement {
  return h('span', { class: 'sls-row sls-gap' }, '⋯ ', ...units(row.units), '\n');
}

function diffRow(row: DiffRow): HTMLElement {
  const number = (at: number) => h('span', { class: 'sls-no' }, at > 0 ? String(at) : '');
  const numbers = h('span', { class: 'sls-nos' }, number(row.before), ' ', number(row.after), ' ', h('span', { class: 'sls-sign' }, row.sign), ' ');
  return h('span', { class: `sls-row${LOOKS[row.sign]}` }, numbers, ...units(row.units), '\n');
}

/** Since when the requester asks here, for somebody who wonders whether they are new. */
export function drawMet(met: Met | null, trans: ITranslate): HTMLElement {
  if (met === null) {
    return h('p', { class: 'sls-sub' }, trans.__('What was decided before could not be had.'));
  }
  if (met.decided === 0) {
    return h('p', { class: 'sls-sub' }, trans.__('First seen now: no request of theirs was decided here before.'));
  }
  const words = trans._n('%1 request of theirs was decided before', '%1 requests of theirs were decided before', met.decided, met.decided);
  const first = met.first_at > 0 ? [' · ', trans.__('first seen'), ' ', age(met.first_at, trans)] : [];
  return h('p', { class: 'sls-sub' }, words, ...first);
}

/** Decisions on requests for the same assets, the newest as the server has them. */
export function drawEarlier(rows: readonly EarlierRow[], trans: ITranslate): HTMLElement {
  if (rows.length === 0) {
    return h('p', { class: 'sls-sub' }, trans.__('Nothing was decided on these assets before.'));
  }
  const heads = [trans.__('request'), trans.__('state'), trans.__('from'), trans.__('purpose'), trans.__('when')];
  const cells = rows.map(one => [
    h('code', {}, one.id),
    signedChip(one.state, one.tone),
    h('span', {}, one.who),
    h('span', {}, one.purpose ? trans.__('“%1”', shortened(one.purpose)) : trans.__('not stated')),
    one.at > 0 ? age(one.at, trans) : h('span', {}, trans.__('not said'))
  ]);
  return table(heads, cells);
}
