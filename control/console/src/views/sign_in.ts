// The form for a token of ADMIN_TOKENS_FILE. The token goes to control once and is kept nowhere; a cookie that no script
// reads stands for it afterwards.

import { api, Refused } from '../data/api';
import { h, say } from '../ui/dom';
import { panel } from '../ui/panel';

export function signIn(done: () => void): HTMLElement {
  const token = h('input', { id: 'token', type: 'password', autocomplete: 'off', required: true });
  const words = h('p', { class: 'verdict-line', role: 'alert' });
  const send = async (event: Event) => {
    event.preventDefault();
    try {
      await api.signIn(token.value.trim());
      token.value = '';
      done();
    } catch (error) {
      say(words, `! ${wordsOf(error)}`);
    }
  };
  const form = h('form', { class: 'form', submit: (event) => void send(event) }, h('label', { for: 'token' }, 'Token'), token, h('button', { type: 'submit', class: 'button' }, 'Sign in'));
  return h('div', { class: 'page' }, panel({ title: 'With a token', good: 'flk control token NAME --role observer makes a token. The console only reads, whatever its role.' }, form, words));
}

// Control tells a program of a header that it may send; here a token was typed.
function wordsOf(error: unknown): string {
  if (!(error instanceof Refused)) return String(error);
  return error.status === 401 ? 'This token is in no line of ADMIN_TOKENS_FILE.' : error.message;
}
