// Something that control is asked for again and again while a page is looked at. The last answer stays when one fails.

import { Refused } from './api';

export class Polled<T> {
  value: T | null = null;
  // Why the last question was not answered.
  fault: string | null = null;
  private timer = 0;
  private isEnded = false;

  constructor(private readonly ask: () => Promise<T>, private readonly every_ms: number, private readonly changed: () => void) {
    void this.turn();
  }

  end(): void {
    this.isEnded = true;
    window.clearTimeout(this.timer);
  }

  private async turn(): Promise<void> {
    if (!document.hidden || this.value === null) {
      try {
        this.value = await this.ask();
        this.fault = null;
      } catch (error) {
        this.fault = error instanceof Refused ? error.message : String(error);
      }
      if (this.isEnded) return;
      this.changed();
    }
    this.timer = window.setTimeout(() => void this.turn(), this.every_ms);
  }
}
