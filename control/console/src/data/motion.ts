// When a plot is to be drawn again. It draws nothing itself.

import type { Span } from './grid';

// Less than this is not seen, and each picture costs as much as all else that a reading brings.
const PIXELS = 2;

// What was drawn last.
export interface Drawn {
  length: number;
  from_ms: number;
  to_ms: number;
}

// Whether the picture of a range, so many pixels wide, would be another one.
export function isDue(drawn: Drawn, frame: Span, width: number): boolean {
  const [span_ms, moved_ms] = [frame.to_ms - frame.from_ms, frame.to_ms - drawn.to_ms];
  if (span_ms !== drawn.to_ms - drawn.from_ms || moved_ms < 0) return true;
  if (moved_ms === 0) return frame.length !== drawn.length;
  // Rows that came together were missed before.
  return Math.abs(frame.length - drawn.length) > PIXELS || moved_ms * width >= PIXELS * span_ms;
}
