// Groups of a list by a text of each element, in the order of the list.

export function grouped<T>(all: readonly T[], by: (it: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const it of all) {
    const group = groups.get(by(it));
    if (group) group.push(it);
    else groups.set(by(it), [it]);
  }
  return groups;
}
