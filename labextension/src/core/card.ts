/** Cards as data, drawn: the vocabulary of `sls_jupyter/notebook/cards.py`. */

import type { CardData, CellData, CodeRow, CheckData, DetailsData, Tone, UnitData } from './types';
import type { ITranslate } from './host';
import { h } from './dom';

type Block = CardData['blocks'][number];

const SIGNS: Readonly<Record<Tone, string>> = { '': '', good: '✓', bad: '✗', wait: '…', note: '!' };

const MUCH = 600; // characters of a value that is given a few lines only

/** A state in a word. Its sign is in the text that the server made. */
export function chip(text: string, tone: Tone = ''): HTMLElement {
  return h('span', { class: `sls-chip sls-${tone || 'plain'}` }, text);
}

/** A state in a word, with the sign of its tone before it. */
export function signedChip(word: string, tone: Tone): HTMLElement {
  return chip(SIGNS[tone] ? `${SIGNS[tone]} ${word}` : word, tone);
}

/** SIMULATED is dashed, NOT ISOLATED is filled, a real TEE has a solid edge; the word says it as well. */
export function mark(word: string): HTMLElement {
  const look = word === 'SIMULATED' ? 'simulated' : word === 'NOT ISOLATED' ? 'exposed' : 'real';
  return h('span', { class: `sls-mark-word sls-${look}` }, word);
}

export function cell(value: CellData): HTMLElement {
  if (value.look === 'chip') {
    return chip(value.text, value.tone);
  }
  const much = value.text.length > MUCH ? { class: 'sls-much', tabindex: 0 } : {}; // which scrolls within itself
  return h(value.look === 'mono' ? 'code' : 'span', much, value.text);
}

export function drawCard(card: CardData, trans: ITranslate, level = 3): HTMLElement {
  const heading = level === 3 ? h('h3', {}, card.title) : h('h4', {}, card.title);
  const head = h('div', { class: 'sls-head' }, heading, card.subtitle ? h('span', { class: 'sls-sub' }, card.subtitle) : null, ...card.marks.map(mark));
  return h('article', { class: `sls-card sls-${card.tone || 'plain'}` }, head, ...drawBlocks(card.blocks, trans));
}

export function drawBlocks(blocks: readonly Block[], trans: ITranslate): HTMLElement[] {
  return blocks.map(block => drawBlock(block, trans));
}

function drawBlock(block: Block, trans: ITranslate): HTMLElement {
  switch (block.kind) {
    case 'line':
      return h('p', {}, block.words);
    case 'warn':
      return warning(block.words, block.tone);
    case 'heading':
      return block.level <= 3 ? h('h3', {}, block.words) : block.level === 4 ? h('h4', {}, block.words) : h('h5', {}, block.words);
    case 'bullets':
      return h('ul', {}, ...block.items.map(item => h('li', {}, item)));
    case 'facts':
      return facts(block.pairs.map(pair => [pair.name, cell(pair.value)]));
    case 'table':
      return block.rows.length === 0 ? h('p', {}, block.empty) : table(block.heads, block.rows.map(row => row.map(cell)));
    case 'details':
      return details(block, trans);
    case 'listing':
      return h('div', { class: 'sls-listing' }, ...block.notices.map(one => warning(one.words, one.tone)), listing(block.rows, trans));
    case 'checks':
      return checks(block.checks, trans);
    case 'command':
      return h('pre', { class: 'sls-command', tabindex: 0 }, block.lines.join('\n'));
  }
}

export function warning(words: string, tone: Tone = 'bad'): HTMLElement {
  return h('p', { class: `sls-warn sls-${tone || 'plain'}` }, SIGNS[tone] ? `${SIGNS[tone]} ${words}` : words);
}

/** A name that is empty belongs to the name above it. */
export function facts(pairs: readonly (readonly [string, HTMLElement | string])[]): HTMLElement {
  const list = h('dl', { class: 'sls-facts' });
  for (const [name, value] of pairs) {
    if (name) {
      list.append(h('dt', {}, name));
    }
    list.append(h('dd', {}, value));
  }
  return list;
}

export function table(heads: readonly string[], rows: readonly (readonly HTMLElement[])[]): HTMLElement {
  const head = h('tr', {}, ...heads.map(name => h('th', { scope: 'col' }, name)));
  const body = rows.map(row => h('tr', {}, ...row.map((value, at) => h('td', { 'data-head': heads[at] ?? '' }, value))));
  const size = heads.length <= 3 ? 'few' : heads.length <= 5 ? 'some' : 'many';
  return h('table', { class: `sls-table sls-${size}` }, h('thead', {}, head), h('tbody', {}, ...body));
}

function details(block: DetailsData, trans: ITranslate): HTMLElement {
  return h('details', {}, h('summary', {}, block.summary), ...drawBlocks(block.blocks as readonly Block[], trans));
}

/** Code with line numbers; it scrolls sideways by keyboard too. */
function listing(rows: readonly CodeRow[], trans: ITranslate): HTMLElement {
  if (rows.length === 0) {
    return h('p', {}, trans.__('(empty)'));
  }
  const lines = rows.map(row =>
    h('span', { class: row.odd ? 'sls-row sls-odd' : 'sls-row' }, h('span', { class: 'sls-no' }, gutter(row)), ...units(row.units), '\n')
  );
  return h('pre', { class: 'sls-code', tabindex: 0, role: 'group', 'aria-label': trans.__('Code') }, ...lines);
}

function gutter(row: CodeRow): string {
  return `${row.number ? `${row.number}${row.odd ? '!' : ''}` : '↪'} `;
}

export function units(found: readonly UnitData[]): (HTMLElement | string)[] {
  return found.map(unit => (unit.look ? h('span', { class: `sls-tok-${unit.look}` }, unit.text) : unit.text));
}

/** Failed checks stand open, those that passed are folded and counted. */
function checks(found: readonly CheckData[], trans: ITranslate): HTMLElement {
  const failed = found.filter(one => !one.ok);
  const passed = found.filter(one => one.ok);
  const box = h('div', { class: 'sls-checks' });
  if (failed.length > 0) {
    box.append(h('ol', {}, ...failed.map(one => checkItem(one, trans))));
  }
  if (passed.length > 0) {
    const words = trans._n('%1 check passed', '%1 checks passed', passed.length, passed.length);
    box.append(h('details', {}, h('summary', {}, `✓ ${words}`), h('ol', {}, ...passed.map(one => checkItem(one, trans)))));
  }
  return box;
}

function checkItem(one: CheckData, trans: ITranslate): HTMLElement {
  const sign = one.ok ? chip(trans.__('✓ pass'), 'good') : chip(trans.__('✗ FAIL'), 'bad');
  const about = facts([
    [trans.__('found'), cell(one.found)],
    [trans.__('expected'), cell(one.expected)]
  ]);
  return h('li', { value: one.number }, sign, ' ', h('strong', {}, one.name), about);
}
