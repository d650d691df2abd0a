// SPDX-License-Identifier: MIT
// Prints the verdicts of Node's own HTTP parser. Reads cases in the same format as http_verdicts.
// It uses the parser directly, because with http.Server an error hides the whole messages before
// it. Exits with 77 if this Node has no such parser, or is older than 20: older ones misread the
// messages after a field that is called Content-Lengthy.
'use strict';

if (parseInt(process.versions.node, 10) < 20) process.exit(77);

let HTTPParser;
let methods;
try {
  ({ HTTPParser, methods } = require('_http_common'));
} catch {
  process.exit(77);
}
if (HTTPParser === undefined) process.exit(77);
const names = methods ?? HTTPParser.methods ?? require('http').METHODS;

function hex(text) {
  return Buffer.from(text, 'latin1').toString('hex');
}

// The state that the parser's callbacks collect for one stream.
class Reading {
  constructor() {
    this.verdict = { messages: [], end: 'clean', reason: '', status: 0 };
    this.begin();
    this.inside = false;
  }

  begin() {
    this.message = { method: '', target: '', minor: 1, fields: [], body: '' };
    this.inside = true;
    this.head = true;
    this.last = false;
  }

  addFields(fields) {
    for (let i = 0; this.head && i < fields.length; i += 2) {
      this.message.fields.push([hex(fields[i]), hex(fields[i + 1])]);
    }
  }

  finishHead(minor, fields, method, url, upgrade, keepAlive) {
    this.addFields(fields ?? []);
    Object.assign(this.message, { minor, method: hex(names[method]), target: hex(url) });
    this.head = false;
    this.last = upgrade || !keepAlive;
    if (names[method] !== 'CONNECT') return 0;
    this.finish();
    return 2;  // no body: the bytes after it belong to the tunnel
  }

  finish() {
    if (this.verdict.end !== 'closed') this.verdict.messages.push(this.message);
    this.inside = false;
    if (this.last) this.verdict.end = 'closed';
  }
}

function parserFor(reading) {
  const parser = new HTTPParser();
  let url = '';
  parser.initialize(HTTPParser.REQUEST, {}, 1 << 20);
  parser[HTTPParser.kOnMessageBegin | 0] = () => reading.begin();
  parser[HTTPParser.kOnHeaders | 0] = (fields, part) => {
    reading.addFields(fields);
    if (reading.head) url += part;  // the callback also comes for trailers
  };
  parser[HTTPParser.kOnHeadersComplete | 0] =
    (major, minor, fields, method, last, status, text, upgrade, keepAlive) => {
      const whole = url + (last ?? '');
      url = '';
      return reading.finishHead(minor, fields, method, whole, upgrade, keepAlive);
    };
  parser[HTTPParser.kOnBody | 0] = (part, offset, length) => {
    const body = offset === undefined ? part : part.subarray(offset, offset + length);
    reading.message.body += body.toString('hex');
  };
  parser[HTTPParser.kOnMessageComplete | 0] = () => reading.finish();
  return parser;
}

function judge(text) {
  const reading = new Reading();
  const parser = parserFor(reading);
  const result = text.length === 0 ? 0 : parser.execute(text);
  parser.close();
  const { verdict } = reading;
  if (verdict.end === 'closed') return verdict;
  if (result instanceof Error) {
    verdict.end = 'error';
    verdict.status = 400;
    verdict.reason = hex(`${result.code}: ${result.reason}`);
  } else if (reading.inside) {
    verdict.end = 'incomplete';
  }
  return verdict;
}

const parts = [];
process.stdin.on('data', (part) => parts.push(part));
process.stdin.on('end', () => {
  const input = Buffer.concat(parts);
  const lines = [];
  for (let at = 0; at < input.length;) {
    const size = input.readUInt32LE(at);
    lines.push(JSON.stringify(judge(Buffer.from(input.subarray(at + 4, at + 4 + size)))));
    at += 4 + size;
  }
  process.stdout.write(`${lines.join('\n')}\n`);
});
