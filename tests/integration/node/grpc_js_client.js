// A client as most people on Node would write it: npm gRPC packages and the protos. Creates a job and reads its results.
//
//   node grpc_js_client.js ADDRESS TOKEN PROTO_FOLDER
'use strict';

const assert = require('assert');
const crypto = require('crypto');
const path = require('path');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const [address, token, protos] = process.argv.slice(2);
const definition = loader.loadSync(path.join(protos, 'reeve/v1/services.proto'),
    {includeDirs: [protos], keepCase: true, longs: String, enums: String, defaults: true});
const {JobService} = grpc.loadPackageDefinition(definition).reeve.v1;
const client = new JobService(address, grpc.credentials.createInsecure());
const metadata = new grpc.Metadata();
metadata.set('authorization', `Bearer ${token}`);

const inputs = ['hello', 'from', 'Node'];
const request = {
  request_id: crypto.randomUUID(),
  spec: {name: 'from Node', handler: 'echo'},
  batch: {task_count: 3, input_bytes: inputs.map((i) => i.length), inputs: Buffer.from(inputs.join(''))},
};

client.CreateJob(request, metadata, (error, job) => {
  if (error) throw error;
  const outputs = {};
  let ended = false;
  const stream = client.StreamResults({job_id: job.job_id, follow: true}, metadata);
  stream.on('data', (batch) => {
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
  stream.on('error', (failure) => { throw failure; });
  stream.on('end', () => {
    assert.deepStrictEqual(Object.values(outputs), inputs);
    assert.ok(ended);
    client.close();
    console.log('node client ok');
  });
});
