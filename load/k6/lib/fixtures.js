// Records that `flk bench fixtures --form parts` has signed before the run. All virtual users share one copy of each file; a record is put
// together when it is sent, so that it takes about 200 bytes until then. No record is handed out twice: its number is that of the iteration.

import exec from 'k6/execution';
import { SharedArray } from 'k6/data';

const FORMAT = 'flk-parts-1';
const directory = __ENV.FIXTURES || '';

/** Whether there are records: a scenario can be looked at without them. */
export const hasFixtures = directory !== '';

/** The records of one file of the directory. */
export function fixtures(name) {
  const lines = new SharedArray(name, () => {
    if (!hasFixtures) {
      return [];
    }
    const lines = open(`${directory}/${name}.parts`).split('\n');
    lines.pop(); // what follows the last line
    return lines;
  });
  const head = lines.length > 0 ? JSON.parse(lines[0]) : { format: FORMAT, pieces: [] };
  if (head.format !== FORMAT) {
    throw new Error(`${name}.parts has the format ${head.format}, and this scenario reads ${FORMAT}`);
  }
  const p = head.pieces;

  return function record(number) {
    if (number + 1 >= lines.length) {
      exec.test.abort(`${name}.parts has ${lines.length - 1} records, and this run needs more`);
    }
    const [id, epoch, root, sig] = lines[number + 1].split(' ');
    return { id, body: p[0] + id + p[1] + epoch + p[2] + root + p[3] + sig + p[4] };
  };
}
