/** Texts as they stand in the source: a page of its own has no language packs. */

import type { ITranslate } from '../core/host';

/** `%1` is the first argument; what has none stays as it is. */
function filled(text: string, args: readonly unknown[]): string {
  return text.replace(/%(\d+)/g, (whole, digits: string) => {
    const at = Number(digits);
    return at >= 1 && at <= args.length ? String(args[at - 1]) : whole;
  });
}

export const english: ITranslate = {
  __: (text, ...args) => filled(text, args),
  _n: (one, many, n, ...args) => filled(n === 1 ? one : many, args)
};
