// Runs a program for WASI in node: node wasi.mjs PROGRAM [ARGUMENT ...]
//
// The program gets this process's environment and output, and of the files those of this repository,
// under the paths that they have outside.

import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { WASI } from 'node:wasi';

const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
const [program, ...args] = process.argv.slice(2);
const wasi = new WASI({
  version: 'preview1',
  args: [program, ...args],
  env: process.env,
  preopens: { [root]: root },
  returnOnExit: true,
});
const module = await WebAssembly.compile(await readFile(program));
const instance = await WebAssembly.instantiate(module, {
  wasi_snapshot_preview1: wasi.wasiImport,
});
// A panic is a trap: node reports it and exits with 1.
process.exitCode = wasi.start(instance);
