// One stream of server-sent events, read by fetch: unlike EventSource it says with which words a stream was refused. It ends
// when it breaks, and never begins again by itself.

import { Refused, refusedBy } from './api';

export interface Event {
  name: string;
  data: string;
  id: string;
}

// Cuts events out of text that comes in pieces; what is not whole yet stays for the next piece. Comments are left out.
export class Cutter {
  private rest = '';
  private id = '';

  cut(piece: string): Event[] {
    const blocks = (this.rest + piece).replaceAll('\r\n', '\n').split('\n\n');
    this.rest = blocks.pop() ?? '';
    return blocks.flatMap((it) => this.event(it) ?? []);
  }

  private event(block: string): Event | null {
    let [name, has] = ['message', false];
    const data: string[] = [];
    for (const line of block.split('\n')) {
      const [field, ...rest] = line.split(':');
      const value = rest.join(':').replace(/^ /, '');
      if (field === 'event') name = value;
      else if (field === 'id') this.id = value;
      else if (field === 'data') has = data.push(value) > 0;
    }
    return has ? { name, data: data.join('\n'), id: this.id } : null;
  }
}

export class Stream {
  private readonly aborted = new AbortController();

  constructor(path: string, private readonly take: (event: Event) => void, private readonly heard: () => void, ended: (why: Refused) => void) {
    this.read(path).then(
      () => ended(new Refused(0, 'stream_ended', 'The stream of control has ended.')),
      (error: unknown) => {
        if (!this.aborted.signal.aborted) ended(error instanceof Refused ? error : new Refused(0, 'no_answer', 'Control does not answer.'));
      },
    );
  }

  close(): void {
    this.aborted.abort();
  }

  private async read(path: string): Promise<void> {
    const response = await fetch(path, { credentials: 'same-origin', headers: { Accept: 'text/event-stream' }, cache: 'no-store', signal: this.aborted.signal });
    if (!response.ok) throw await refusedBy(response);
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    const cutter = new Cutter();
    for (;;) {
      const { done, value } = (await reader?.read()) ?? { done: true, value: undefined };
      if (done) return;
      this.heard();
      for (const event of cutter.cut(value ?? '')) if (!this.aborted.signal.aborted) this.take(event);
    }
  }
}
