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
      say(words, `! ${error instanceof Refused ? error.message : String(error)}`);
    }
  };
  const form = h('form', { class: 'form', submit: (event) => void send(event) }, h('label', { for: 'token' }, 'Token'), token, h('button', { type: 'submit', class: 'button' }, 'Sign in'));
  return h('div', { class: 'page' }, panel({ title: 'With a token', good: 'flk control token NAME --role observer makes a token. The console only reads, whatever its role.' }, form, words));
}
