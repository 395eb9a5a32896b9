// How series look: a colour and a dash each, so that they can be told apart without colour.

export interface Look {
  color: string;
  dash: number[];
}

const DASHES: number[][] = [[], [8, 3], [3, 3], [10, 3, 2, 3], [1, 3], [14, 4]];
const COLORS_COUNT = 6;

// The look of the nth series; colours repeat after six, with another dash.
export function look(at: number): Look {
  const dash = DASHES[(at + Math.floor(at / COLORS_COUNT)) % DASHES.length];
  return { color: `s${(at % COLORS_COUNT) + 1}`, dash };
}
