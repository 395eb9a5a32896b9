// The stages of a record, in its order, as `flk_stage_seconds` names them. Times are of different things, which `of` says.

export interface Stage {
  name: string;
  title: string;
  what: string;
  of: 'turn' | 'batch' | 'claim';
  group: 'in' | 'turn' | 'owner' | 'disk' | 'out';
}

export const STAGES: readonly Stage[] = [
  { name: 'framing', title: 'Frame', what: 'complete requests are cut out of what came', of: 'turn', group: 'in' },
  { name: 'parse', title: 'Parse', what: 'the body is read as a record', of: 'turn', group: 'turn' },
  { name: 'signature', title: 'Signature', what: 'the signature is verified, before anything is looked up', of: 'turn', group: 'turn' },
  { name: 'verify', title: 'Verify', what: 'the claimed numbers are computed again', of: 'turn', group: 'turn' },
  { name: 'owner_hop', title: 'Claim', what: 'the owner of the key says whether it is the first', of: 'claim', group: 'owner' },
  { name: 'wal_wait', title: 'Log wait, bodies', what: 'until the batch with the first body is durable', of: 'batch', group: 'disk' },
  { name: 'decision_wait', title: 'Log wait, decisions', what: 'until the batch with the first decision is durable', of: 'batch', group: 'disk' },
  { name: 'reply', title: 'Reply', what: 'answers are sent in the order of their connection', of: 'turn', group: 'out' },
];

export const OF: Readonly<Record<Stage['of'], string>> = {
  turn: 'of a turn, all its requests together',
  batch: 'of a batch, from its first record on',
  claim: 'of a claim; 0 within one shard',
};
