/** A page of its own as the place that the panel stands in: nothing but the browser. */

import type { IHost } from '../core/host';
import { saveFile } from '../core/save';
import { ask } from './dialog';
import { Toasts } from './toast';
import { english } from './translate';

/** `base` is the server's base URL, which ends with a slash. */
export function pageHost(base: string): IHost {
  const trans = english;
  const toasts = new Toasts(trans);
  return {
    trans,
    request: (path, init) => fetch(`${base}sls_jupyter/v1/${path}`, withToken(init)),
    ask: dialog => ask(dialog, trans),
    notify: (words, action) => toasts.show(words, action),
    copy: text => navigator.clipboard.writeText(text),
    openDocument: (_, html) => openDocument(html),
    saveFile: async (name, text) => saveFile(name, text)
  };
}

/** What Jupyter wants to see of a page that it made, and that another origin cannot read. */
function withToken(init: RequestInit): RequestInit {
  const headers = new Headers(init.headers);
  const token = /(?:^|; )_xsrf=([^;]*)/.exec(document.cookie)?.[1];
  if (init.method !== 'GET' && token !== undefined) {
    headers.set('X-XSRFToken', decodeURIComponent(token));
  }
  return { ...init, headers, credentials: 'same-origin' };
}

/** In a window that knows nothing of this one. */
function openDocument(html: string): void {
  const url = URL.createObjectURL(new Blob([html], { type: 'text/html' }));
  window.open(url, '_blank', 'noopener');
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
