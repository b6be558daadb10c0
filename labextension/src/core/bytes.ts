/** Files as the API takes them. */

import type { ITranslate } from './host';

const MAX_BODY_BYTES = 8 * 2 ** 20; // that the server takes
const ROOM_BYTES = 2 ** 16; // for what stands around a file

/** Of a file that is sent: in base64 it is a third more. */
const MAX_FILE_BYTES = Math.floor(((MAX_BODY_BYTES - ROOM_BYTES) * 3) / 4);

export interface IFile {
  readonly name: string;
  readonly data: Uint8Array;
}

export function toBase64(data: Uint8Array): string {
  const parts: string[] = [];
  for (let at = 0; at < data.length; at += 0x8000) {
    parts.push(String.fromCharCode(...data.subarray(at, at + 0x8000)));
  }
  return btoa(parts.join(''));
}

/** Its bytes; a sentence where it is too large to be read. */
export async function readFile(file: File, trans: ITranslate): Promise<IFile | string> {
  if (file.size > MAX_FILE_BYTES) {
    return trans.__('%1 has %2 MiB; at most %3 can be verified here. The command "sls verify" takes larger notebooks.', file.name, (file.size / 2 ** 20).toFixed(2), (MAX_FILE_BYTES / 2 ** 20).toFixed(2));
  }
  try {
    return { name: file.name, data: new Uint8Array(await file.arrayBuffer()) };
  } catch {
    return trans.__('%1 cannot be read: it is a folder, or it is gone.', file.name);
  }
}
