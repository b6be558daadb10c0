/** The messages of the API; the file beside is generated. */

import type { CardData } from './api-types';

export type * from './api-types';
export type Tone = CardData['tone'];
