// How something stands. A sign or a word stands beside each colour.

export type Tone = 'ok' | 'warn' | 'bad' | 'idle';
