// One id: what became of it, when, by which key and parameters, and where it lies. The id and tenant are in the address.

import { api, Refused } from '../data/api';
import { full } from '../data/clock';
import type { Found } from '../data/wire';
import { copyText } from '../ui/copy';
import { fill, h } from '../ui/dom';
import { panel } from '../ui/panel';
import type { Context, Shell, View } from './view';

const ID = /^[0-9a-f]{64}$/;

export class LookupView implements View {
  readonly element: HTMLElement;
  readonly names = [];
  private readonly id = h('input', { id: 'pcs-id', name: 'id', class: 'id', required: true, spellcheck: 'false', autocomplete: 'off', maxlength: 64, placeholder: '64 of 0-9 a-f' });
  private readonly tenant = h('input', { id: 'tenant', name: 'tenant', spellcheck: 'false', autocomplete: 'off', maxlength: 64, placeholder: 'default' });
  private readonly result = h('div', { class: 'result', 'aria-live': 'polite' });
  private asked = '';
  private zone = 'utc';
  private found: Found | null = null;

  constructor(private readonly shell: Shell) {
    const form = h('form', { class: 'form', submit: (event) => this.submit(event) },
      h('label', { for: 'pcs-id' }, 'pcs_id'), this.id, h('label', { for: 'tenant' }, 'Tenant'), this.tenant, h('button', { type: 'submit', class: 'button' }, 'Look up'));
    const rows = () => (this.found ? this.facts(this.found) : [['nothing looked up', '']]);
    this.element = h('div', { class: 'page' }, panel({ title: 'Look up a record', good: 'What a duplicate of this id is answered with. Reading it changes nothing.', rows }, form, this.result));
    this.idle();
  }

  update({ address }: Context): void {
    const { id = '', tenant = '' } = address.more;
    const asked = id === '' ? '' : `${tenant}/${id}`;
    if (asked !== this.asked) {
      this.asked = asked;
      [this.id.value, this.tenant.value] = [id, tenant];
      if (id === '') this.idle();
      else void this.ask(id, tenant || 'default');
    } else if (this.zone !== address.zone && this.found) {
      this.zone = address.zone;
      this.show(this.found);
    }
    this.zone = address.zone;
  }

  private idle(): void {
    this.found = null;
    fill(this.result, h('p', { class: 'empty' }, 'An id is in the answer to a record, as pcs_id, and flk pcs verify prints it.'));
  }

  private submit(event: Event): void {
    event.preventDefault();
    const [id, tenant] = [this.id.value.trim().toLowerCase(), this.tenant.value.trim()];
    if (!ID.test(id)) return this.refuse('A pcs_id is 64 of 0-9 a-f.');
    this.asked = '';
    this.shell.go({ more: { id, tenant } });
    this.shell.redraw();
  }

  private async ask(id: string, tenant: string): Promise<void> {
    const { asked } = this;
    // What is there is of another id.
    this.found = null;
    fill(this.result, h('p', { class: 'empty' }, 'It is looked up.'));
    try {
      const found = await api.lookUp(id, tenant);
      if (asked === this.asked) this.show(found);
    } catch (error) {
      if (asked === this.asked) this.refuse(error instanceof Refused ? error.message : String(error));
    }
  }

  private refuse(words: string): void {
    this.found = null;
    fill(this.result, h('p', { class: 'verdict-line', 'data-tone': 'warn' }, `! ${words}`));
  }

  private facts(it: Found): [string, string][] {
    const zone = this.shell.address().zone;
    return [
      ['pcs_id', it.pcs_id],
      ['Tenant', it.tenant],
      ['Decided', full(it.decided_ms, zone)],
      ['Answers duplicates until', full(it.expires_ms, zone)],
      ['Verified by key', it.key_id ?? 'not stored'],
      ['Judged by parameters', it.params ?? 'not stored'],
      ['Lies in', it.origin],
      ['Slice', it.slice ?? 'none yet: it is in memory and in the log'],
    ];
  }

  private show(it: Found): void {
    this.found = it;
    const isAccepted = it.status === 200;
    fill(this.result,
      h('p', { class: 'verdict-line', 'data-tone': isAccepted ? 'ok' : 'warn' }, isAccepted ? '✓ 200, accepted' : `! ${it.status}, escalated`),
      h('dl', { class: 'facts' }, ...this.facts(it).flatMap(([name, value]) => [h('dt', {}, name), h('dd', {}, value)])),
      h('h3', {}, 'The answer, byte for byte'),
      h('pre', { tabindex: 0, role: 'group', 'aria-label': 'The answer, byte for byte' }, it.outcome),
      h('button', { type: 'button', class: 'tool', click: () => void copyText(it.outcome, 'Answer') }, 'Copy the answer'));
  }

  end(): void {
    this.asked = 'ended';
  }
}
