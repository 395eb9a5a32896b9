// How series look: a colour and a dash each, so that they can be told apart without colour.

export interface Look {
  color: string;
  dash: number[];
}

// Long ones: each piece of a dash is drawn for itself.
const DASHES: number[][] = [[], [12, 5], [5, 5], [18, 5, 5, 5], [2, 6], [28, 6]];
const COLORS_COUNT = 6;

// The look of the nth series; colours repeat after six, with another dash.
export function look(at: number): Look {
  const dash = DASHES[(at + Math.floor(at / COLORS_COUNT)) % DASHES.length];
  return { color: `s${(at % COLORS_COUNT) + 1}`, dash };
}
