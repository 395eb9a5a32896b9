// The part of Markdown that runbooks use: headings, paragraphs, lists, tables, code and links. Texts become text nodes. A
// link to another runbook leads there; one to another page of the documentation is shown as its text.

import { copyText } from './copy';
import { h, type Child } from './dom';

type Href = (runbook: string) => string | null;

export function rendered(text: string, href: Href): HTMLElement[] {
  const lines = text.split('\n');
  const made: HTMLElement[] = [];
  let at = 0;
  while (at < lines.length) {
    if (lines[at].trim() === '') at += 1;
    else {
      const [element, next] = block(lines, at, href);
      made.push(element);
      at = next;
    }
  }
  return made;
}

const ITEM = /^(\d+\.|-) +/;

function block(lines: readonly string[], at: number, href: Href): [HTMLElement, number] {
  const line = lines[at];
  const heading = /^(#+) (.*)$/.exec(line);
  if (heading) return [h(heading[1].length === 1 ? 'h2' : 'h3', {}, ...inline(heading[2], href)), at + 1];
  if (line.startsWith('```')) return code(lines, at);
  if (line.startsWith('|')) return table(lines, at, href);
  if (ITEM.test(line)) return list(lines, at, href);
  const end = endOf(lines, at + 1, (it) => it.trim() !== '' && !it.startsWith('```') && !it.startsWith('|') && !ITEM.test(it));
  const words = lines.slice(at, end).map((it) => it.replace(/^> ?/, '')).join(' ');
  return [h(line.startsWith('>') ? 'blockquote' : 'p', {}, ...inline(words, href)), end];
}

function endOf(lines: readonly string[], from: number, belongs: (line: string) => boolean): number {
  let end = from;
  while (end < lines.length && belongs(lines[end])) end += 1;
  return end;
}

function code(lines: readonly string[], at: number): [HTMLElement, number] {
  const end = endOf(lines, at + 1, (it) => !it.startsWith('```'));
  const text = lines.slice(at + 1, end).join('\n');
  const commands = lines.slice(at + 1, end).filter((it) => it.startsWith('$ ')).map((it) => it.slice(2)).join('\n');
  const copy = h('button', { type: 'button', class: 'tool', click: () => void copyText(commands || text, 'Commands') }, 'Copy');
  return [h('div', { class: 'code' }, h('pre', { tabindex: 0, role: 'group', 'aria-label': 'Commands' }, text), copy), end + 1];
}

function table(lines: readonly string[], at: number, href: Href): [HTMLElement, number] {
  const end = endOf(lines, at, (it) => it.startsWith('|'));
  const cells = (line: string) => line.replace(/^\||\|$/g, '').split('|').map((it) => inline(it.trim(), href));
  const [head, , ...rows] = lines.slice(at, end);
  const row = (line: string, tag: 'th' | 'td') => h('tr', {}, ...cells(line).map((it) => h(tag, tag === 'th' ? { scope: 'col' } : {}, ...it)));
  const made = h('table', {}, h('thead', {}, row(head, 'th')), h('tbody', {}, ...rows.map((it) => row(it, 'td'))));
  return [h('div', { class: 'scroll', tabindex: 0, role: 'group', 'aria-label': 'Table' }, made), end];
}

// Items may have further lines and blocks, set in by spaces.
function list(lines: readonly string[], at: number, href: Href): [HTMLElement, number] {
  const isOrdered = /^\d/.test(lines[at]);
  const items: HTMLElement[] = [];
  let from = at;
  while (from < lines.length && ITEM.test(lines[from])) {
    let end = endOf(lines, from + 1, (it) => it.startsWith('  '));
    while (lines[end]?.trim() === '' && lines[end + 1]?.startsWith('  ')) end = endOf(lines, end + 1, (it) => it.startsWith('  '));
    const own = [lines[from].replace(ITEM, ''), ...lines.slice(from + 1, end).map((it) => it.replace(/^ {2,3}/, ''))];
    items.push(h('li', {}, ...rendered(own.join('\n'), href)));
    from = end;
  }
  return [h(isOrdered ? 'ol' : 'ul', {}, ...items), from];
}

const SPAN = /`([^`]+)`|\*\*([^*]+)\*\*|\[([^\]]+)\]\(([^)]+)\)|\*([^*\s][^*]*)\*/g;

function inline(text: string, href: Href): Child[] {
  const made: Child[] = [];
  let end = 0;
  for (const found of text.matchAll(SPAN)) {
    made.push(text.slice(end, found.index));
    end = found.index + found[0].length;
    if (found[1] !== undefined) made.push(h('code', {}, found[1]));
    else if (found[2] !== undefined) made.push(h('strong', {}, found[2]));
    else if (found[5] !== undefined) made.push(h('em', {}, found[5]));
    else {
      const runbook = /^([a-z0-9-]+)\.md/.exec(found[4])?.[1];
      const target = runbook === undefined ? null : href(runbook);
      made.push(target === null ? h('span', { title: found[4] }, ...inline(found[3], href)) : h('a', { href: target }, ...inline(found[3], href)));
    }
  }
  made.push(text.slice(end));
  return made;
}
