// A real gateway with its control process, from the programs in FLK_BIN, on free ports and in a directory of its own, and
// load by `flk bench`. It stops only what it started.

import assert from 'node:assert/strict';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FROM_DIST, HOME, until } from './browser';

const ROOT = join(HOME, '../..');
export const BIN = process.env.FLK_BIN || join(ROOT, 'target/debug');
const KEY = 'a key for tests, which is long enough to be one';
const TENANTS = ['acme', 'north.sea'];

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

export class Gateway {
  readonly directory = mkdtempSync(join(tmpdir(), 'flk-console-'));
  private readonly children = new Map<string, ChildProcess>();

  private constructor(readonly port: number, readonly admin: number) {}

  static async start(): Promise<Gateway> {
    for (const name of ['flk', 'flk-dataplane', 'flk-control']) assert.ok(existsSync(join(BIN, name)), `${name} is not in ${BIN}: build it, or name another directory in FLK_BIN`);
    const made = new Gateway(await freePort(), await freePort());
    process.once('exit', () => made.children.forEach((it) => it.kill('SIGKILL')));
    made.configure();
    await made.startGateway();
    await made.startControl();
    return made;
  }

  get origin(): string {
    return `http://127.0.0.1:${this.admin}`;
  }

  async startGateway(): Promise<void> {
    this.run('flk-dataplane', []);
    await until('the gateway is ready', () => answers(`http://127.0.0.1:${this.port}/readyz`));
  }

  async startControl(more: NodeJS.ProcessEnv = {}): Promise<void> {
    this.run('flk-control', [], 'flk-control', more);
    await until('control answers', () => answers(`${this.origin}/health`));
    if (FROM_DIST || more.ADMIN_CONSOLE === 'off') return;
    const page = await fetch(`${this.origin}/console/`);
    assert.match(await page.text(), /console\.js/, `flk-control of ${BIN} has no console in it: run make console, then build it`);
  }

  // Kills a process and waits until it has ended.
  async kill(name: string): Promise<void> {
    const child = this.children.get(name);
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
    this.children.delete(name);
  }

  // Records of all kinds, until the gateway is stopped.
  load(rate: number): void {
    const mix = ['--rate', String(rate), '--duration', '30m', '--duplicates', '40%', '--bad-signatures', '1%', '--malformed', '0.5%', '--connections', '16', '--tenants', ['default', ...TENANTS].join(), '--key-file', join(this.directory, 'key')];
    this.run('flk', ['bench', `http://127.0.0.1:${this.port}`, ...mix], 'bench');
  }

  // Runs a command as a newcomer would: in the gateway's directory, with `flk` in the path.
  shell(command: string): void {
    const run = spawnSync('sh', ['-c', command], { cwd: this.directory, env: this.environment(), encoding: 'utf8' });
    assert.equal(run.status, 0, `${command}\n${run.stdout}${run.stderr}`);
  }

  async stop(): Promise<void> {
    for (const name of [...this.children.keys()]) await this.kill(name);
    rmSync(this.directory, { recursive: true, force: true });
  }

  said(name: string): string {
    return readFileSync(join(this.directory, `${name}.log`), 'utf8');
  }

  private configure(): void {
    const key = join(this.directory, 'key');
    writeFileSync(key, KEY, { mode: 0o600 });
    mkdirSync(join(this.directory, 'golden/events'), { recursive: true });
    writeFileSync(join(this.directory, 'golden/events/sample.csv'), readFileSync(join(ROOT, 'golden/events/sample.csv')));
    const tenant = (id: string, at: number) => `[[tenants]]\nid = "${id}"\nrate = ${at === 0 ? 60 : 0}\n[[tenants.keys]]\nid = "2026-11"\nscheme = "hmac-sha256"\nfile = "${key}"\nnot_before = 2026-11-01T00:00:00Z\n`;
    writeFileSync(join(this.directory, 'flk.toml'), TENANTS.map(tenant).join('\n'));
  }

  private environment(): NodeJS.ProcessEnv {
    return {
      PATH: `${BIN}:${process.env.PATH ?? ''}`, HOME: this.directory, PORT: String(this.port), ADMIN_LISTEN: `127.0.0.1:${this.admin}`, WAL_DIR: 'data/wal', CONTROL_DIR: 'data/control',
      FLK_CONFIG: join(this.directory, 'flk.toml'), PCS_HMAC_KEY: KEY, FLK_URL: `http://127.0.0.1:${this.port}`, WAL_MAX_BYTES: '2GiB', DEDUP_MEMORY_MAX: '64MiB', FLK_LOOK_UPS: 'on',
    };
  }

  pid(name: string): number {
    const pid = this.children.get(name)?.pid;
    assert.ok(pid, `${name} does not run`);
    return pid;
  }

  private run(program: string, args: string[], name = program, more: NodeJS.ProcessEnv = {}): void {
    const log = openSync(join(this.directory, `${name}.log`), 'a');
    this.children.set(name, spawn(join(BIN, program), args, { cwd: this.directory, env: { ...this.environment(), ...more }, stdio: ['ignore', log, log] }));
  }
}

async function answers(url: string): Promise<boolean> {
  return fetch(url).then((it) => it.ok, () => false);
}
