// Rows as CSV (RFC 4180), safe to open in a spreadsheet.

export type Cell = string | number | null;

// A cell that a spreadsheet would take for a formula gets an apostrophe in front: names come from clients.
export function csv(rows: readonly (readonly Cell[])[]): string {
  const cell = (it: Cell): string => {
    if (it === null || (typeof it === 'number' && !Number.isFinite(it))) return '';
    if (typeof it === 'number') return String(it);
    const safe = /^[=+\-@\t\r]/.test(it) ? `'${it}` : it;
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  return rows.map((row) => row.map(cell).join(',')).join('\r\n') + '\r\n';
}
