/** Texts of other people that may be very long, where there is a line or two for them. */

/** The beginning; whole characters only. */
export function shortened(text: string, most = 300): string {
  const letters = [...text.slice(0, 2 * most)];
  return letters.length <= most && text.length <= 2 * most ? text : `${letters.slice(0, most - 1).join('')}…`;
}

/** In groups of four, as one reads it aloud. */
export function grouped(text: string): string {
  return text.match(/.{1,4}/gu)?.join(' ') ?? '';
}
