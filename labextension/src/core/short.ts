/** Texts of other people that may be very long, where there is a line or two for them. */

/** The beginning; whole characters only. */
export function shortened(text: string, most = 300): string {
  const letters = [...text.slice(0, 2 * most)];
  return letters.length <= most && text.length <= 2 * most ? text : `${letters.slice(0, most - 1).join('')}…`;
}

/** Whether a kind of TEE proves nothing about hardware; a mark says so in capitals. */
export function isSimulated(tee: string): boolean {
  return tee.toLowerCase().startsWith('simulated');
}

/** In groups of four, as one reads it aloud. */
export function grouped(text: string): string {
  return text.match(/.{1,4}/gu)?.join(' ') ?? '';
}
