// Runs cases and writes down what each proved: one JSON line a case, into the file that
// CONFORMANCE_RESULTS names. The same form as every other suite's.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { appendFileSync } from "node:fs";

export const endpoint = process.env.CONFORMANCE_ENDPOINT ?? "http://127.0.0.1:4567";
export const tlsEndpoint = process.env.CONFORMANCE_TLS_ENDPOINT;
export const region = "us-east-1";
export const ring = 1n << 128n;

export const freshName = () => `conformance-${randomUUID().slice(0, 13)}`;

/** Refuses the case as one that cannot run here. */
export class Skip extends Error {}

/** The first true answer of `probe`; polls, since state changes take time by contract. */
export async function eventually(probe, what, seconds = 20) {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const answer = await probe();
    if (answer) return answer;
    if (Date.now() > deadline) throw new Error(`not within ${seconds} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Expects the modelled error of a call. */
export const refused = (promise, name, pattern) =>
  assert.rejects(promise, (error) => {
    assert.equal(error.name, name);
    assert.match(error.message, pattern);
    assert.equal(error.$metadata.httpStatusCode, 400);
    assert.ok(error.$metadata.requestId);
    return true;
  });

/** Cases of one client in one encoding. */
export class Suite {
  constructor(client, encoding, service = "kinesis") {
    Object.assign(this, { client, encoding, service, cases: [] });
  }

  case(operations, sentence, prove) {
    this.cases.push({ operations: operations.split(" "), sentence, prove });
  }

  async run() {
    const only = (process.env.CONFORMANCE_ONLY ?? "").toLowerCase();
    const counts = { passed: 0, failed: 0, skipped: 0 };
    for (const { operations, sentence, prove } of this.cases) {
      if (only && !`${sentence} ${operations}`.toLowerCase().includes(only)) continue;
      const started = Date.now();
      let outcome = "passed";
      let detail;
      try {
        await prove();
      } catch (error) {
        outcome = error instanceof Skip ? "skipped" : "failed";
        detail = `${error.name}: ${error.message} ${(error.stack ?? "").split("\n").slice(1, 4).join("")}`;
      }
      counts[outcome] += 1;
      const { client, encoding, service } = this;
      const line = { client, encoding, service, case: sentence, operations, outcome, milliseconds: Date.now() - started };
      if (detail) line.detail = detail.slice(0, 2000);
      if (process.env.CONFORMANCE_RESULTS) {
        appendFileSync(process.env.CONFORMANCE_RESULTS, `${JSON.stringify(line)}\n`);
      }
      if (outcome !== "passed") {
        console.log(`  ${outcome}: ${client} ${encoding}: ${sentence}\n    ${detail}`);
      }
    }
    return counts;
  }
}

/** Prints the closing line and leaves with what it means. */
export function finish(all) {
  const total = (key) => all.reduce((sum, counts) => sum + counts[key], 0);
  console.log(`${total("passed")} passed, ${total("failed")} failed, ${total("skipped")} skipped`);
  process.exit(total("failed") > 0 || total("passed") === 0 ? 1 : 0);
}
