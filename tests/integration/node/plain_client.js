// A client made from the protos alone, at run time: creates a job and reads its results. gRPC is HTTP/2, which Node speaks.
//
//   node plain_client.js ADDRESS TOKEN DESCRIPTOR_SET
'use strict';

const assert = require('assert');
const crypto = require('crypto');
const fs = require('fs');
const http2 = require('http2');
const {loadTypes} = require('./protobuf.js');

const [address, token, descriptors] = process.argv.slice(2);
const types = loadTypes(fs.readFileSync(descriptors));
const session = http2.connect(`http://${address}`);

// Calls a method; `onMessage` gets each message of the response. Resolves with [status, message] of the trailers.
function call(method, requestType, request, responseType, onMessage) {
  return new Promise((resolve, reject) => {
    const stream = session.request({
      ':method': 'POST', ':path': `/reeve.v1.JobService/${method}`, 'content-type': 'application/grpc', te: 'trailers',
      authorization: `Bearer ${token}`,
    });
    let buffered = Buffer.alloc(0);
    let status = ['', 'no status came'];
    const noteStatus = (headers) => {
      if (headers['grpc-status'] !== undefined) status = [headers['grpc-status'], headers['grpc-message'] || ''];
    };
    stream.on('response', noteStatus);  // A refusal has headers only.
    stream.on('trailers', noteStatus);
    stream.on('data', (data) => {
      buffered = Buffer.concat([buffered, data]);
      while (buffered.length >= 5 && buffered.length >= 5 + buffered.readUInt32BE(1)) {
        const size = buffered.readUInt32BE(1);
        assert.strictEqual(buffered[0], 0, 'not compressed');
        onMessage(types[responseType].decode(buffered.subarray(5, 5 + size)));
        buffered = buffered.subarray(5 + size);
      }
    });
    stream.on('error', reject);
    stream.on('end', () => resolve(status));
    const body = types[requestType].encode(request);
    const head = Buffer.alloc(5);
    head.writeUInt32BE(body.length, 1);
    stream.end(Buffer.concat([head, body]));
  });
}

async function main() {
  const inputs = ['hello', 'from', 'Node'];
  const request = {
    request_id: crypto.randomUUID(),
    spec: {name: 'from Node', handler: 'echo'},
    batch: {task_count: 3, input_bytes: inputs.map((i) => i.length), inputs: inputs.join('')},
  };
  let job;
  const created = await call('CreateJob', 'reeve.v1.CreateJobRequest', request, 'reeve.v1.Job', (message) => { job = message; });
  assert.deepStrictEqual(created, ['0', '']);

  const outputs = {};
  let ended = false;
  const read = await call('StreamResults', 'reeve.v1.StreamResultsRequest', {job_id: job.job_id, follow: 1}, 'reeve.v1.ResultBatch', (batch) => {
    const count = batch.count.reduce((a, b) => a + b, 0);
    const lengths = batch.output_bytes.length === 1 ? Array(count).fill(batch.output_bytes[0]) : batch.output_bytes;
    for (const run of batch.runs) {
      for (let i = 0; i < run.count; ++i) {
        const at = lengths.slice(0, run.position + i).reduce((a, b) => a + b, 0);
        outputs[run.first + i] = batch.output.subarray(at, at + lengths[run.position + i]).toString();
      }
    }
    ended = ended || Boolean(batch.end);
  });
  assert.deepStrictEqual(read, ['0', '']);
  assert.deepStrictEqual(outputs, {0: 'hello', 1: 'from', 2: 'Node'});
  assert.ok(ended);

  const missing = await call('GetJob', 'reeve.v1.GetJobRequest', {job_id: job.job_id + 1000}, 'reeve.v1.Job', () => assert.fail('no such job'));
  assert.strictEqual(missing[0], '5', missing[1]);
  session.close();
  console.log('node client ok');
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
