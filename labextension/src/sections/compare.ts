/** A DID in full, to be compared with its owner by another channel. */

import { button, h, type Child } from '../core/dom';
import type { IHost } from '../core/host';
import { grouped } from '../core/short';

const KEY = 'did:key:';
const DIGEST = 'sha256:';

export interface ICompared {
  /** Tells the fold from others of the section. */
  readonly at: string;
  readonly did: string;
  /** Digest of their key for results; '' where it is not known. */
  readonly key?: string;
}

/** Folded: who wants to compare opens it. */
export function compareFold({ at, did, key = '' }: ICompared, host: IHost): HTMLElement {
  const { trans } = host;
  const copy = button(trans.__('Copy DID'), () => void host.copy(did).then(() => host.notify(trans.__('Copied.'))), { 'data-key': `copy ${at}` });
  const key_ = key ? [h('dt', {}, trans.__('key for results')), h('dd', {}, aloud(key.startsWith(DIGEST) ? key.slice(DIGEST.length) : key))] : [];
  return h(
    'details',
    { class: 'sls-compare' },
    h('summary', { 'data-key': `compare ${at}` }, trans.__('Compare')),
    h('dl', { class: 'sls-facts' }, h('dt', {}, trans.__('DID')), h('dd', {}, h('code', {}, did)), ...spoken(did, host), ...key_),
    h('p', { class: 'sls-sub' }, trans.__('Whoever has this DID has its key. Who that is, ask them by another channel, for instance by telephone.')),
    copy
  );
}

/** What is read aloud of a DID that is a key; others are words already. */
function spoken(did: string, { trans }: IHost): readonly Child[] {
  return did.startsWith(KEY) ? [h('dt', {}, trans.__('read aloud')), h('dd', {}, aloud(did.slice(KEY.length)))] : [];
}

function aloud(text: string): HTMLElement {
  return h('code', { class: 'sls-aloud' }, grouped(text));
}
