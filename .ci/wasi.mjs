// Runs a program that was compiled for wasm32-wasip1: node .ci/wasi.mjs PROGRAM.wasm [ARGUMENTS]. Cargo takes it as a runner.
import { readFile } from "node:fs/promises";
import { WASI } from "node:wasi";

const args = process.argv.slice(2);
const wasi = new WASI({ version: "preview1", args, env: process.env });
const program = await WebAssembly.compile(await readFile(args[0]));
const instance = await WebAssembly.instantiate(program, wasi.getImportObject());
process.exitCode = wasi.start(instance);
