// Messages by their descriptors: what a protobuf library does, for the types this client meets.
//
//   const types = loadTypes(fs.readFileSync('protos.bin'));   // protoc --include_imports --descriptor_set_out
//   types['reeve.v1.Job'].decode(buffer).job_id
//
// Fields are named as in the protos; numbers are Numbers, bytes Buffers; a field that is absent has its default.
'use strict';

const TYPE = {DOUBLE: 1, FLOAT: 2, FIXED64: 6, FIXED32: 7, STRING: 9, MESSAGE: 11, BYTES: 12, SFIXED32: 15, SFIXED64: 16, SINT32: 17, SINT64: 18};
const REPEATED = 3;

function putVarint(value, out) {
  let rest = BigInt.asUintN(64, BigInt(value));
  while (rest >= 128n) {
    out.push(Number(rest & 127n) | 128);
    rest >>= 7n;
  }
  out.push(Number(rest));
}

class Reader {
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }
  get done() { return this.at >= this.bytes.length; }
  varint() {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = this.bytes[this.at++];
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return value;
    }
  }
  take(count) {
    this.at += count;
    if (this.at > this.bytes.length) throw new Error('a message ends early');
    return this.bytes.subarray(this.at - count, this.at);
  }
  // The next field: its number, and its value as it lies there.
  field() {
    const tag = Number(this.varint());
    const wire = tag & 7;
    const value = wire === 0 ? this.varint() : wire === 1 ? this.take(8) : wire === 5 ? this.take(4) : this.take(Number(this.varint()));
    return {number: tag >> 3, wire, value};
  }
}

class Message {
  constructor(name, fields, types) {
    this.name = name;
    this.types = types;
    this.byName = new Map(fields.map((f) => [f.name, f]));
    this.byNumber = new Map(fields.map((f) => [f.number, f]));
  }

  encode(object) {
    const parts = [];
    const lengthDelimited = (number, bytes) => {
      const head = [];
      putVarint(number << 3 | 2, head);
      putVarint(bytes.length, head);
      parts.push(Buffer.from(head), bytes);
    };
    for (const [name, value] of Object.entries(object)) {
      const field = this.byName.get(name);
      if (!field) throw new Error(`${this.name} has no field ${name}`);
      const bytesOf = (v) => field.type === TYPE.MESSAGE ? this.types[field.typeName].encode(v) : Buffer.from(v);
      if ([TYPE.STRING, TYPE.BYTES, TYPE.MESSAGE].includes(field.type)) {
        for (const v of field.repeated ? value : [value]) lengthDelimited(field.number, bytesOf(v));
      } else if (field.repeated) {
        const packed = [];
        for (const v of value) putVarint(v, packed);
        lengthDelimited(field.number, Buffer.from(packed));
      } else {
        const scalar = [];
        putVarint(field.number << 3, scalar);
        putVarint(value, scalar);
        parts.push(Buffer.from(scalar));
      }
    }
    return Buffer.concat(parts);
  }

  decode(bytes) {
    const object = {};
    for (const field of this.byNumber.values()) {
      object[field.name] = field.repeated ? [] : field.type === TYPE.STRING ? '' : field.type === TYPE.BYTES ? Buffer.alloc(0) :
          field.type === TYPE.MESSAGE ? null : 0;
    }
    for (const reader = new Reader(bytes); !reader.done;) {
      const {number, wire, value} = reader.field();
      const field = this.byNumber.get(number);
      if (!field) continue;
      const values = [];
      if (field.type === TYPE.MESSAGE) {
        values.push(this.types[field.typeName].decode(value));
      } else if (field.type === TYPE.STRING) {
        values.push(value.toString());
      } else if (field.type === TYPE.BYTES) {
        values.push(value);
      } else if (wire === 0) {
        values.push(this.number(field, value));
      } else if (wire === 2) {
        for (const packed = new Reader(value); !packed.done;) values.push(this.number(field, packed.varint()));
      } else {
        throw new Error(`${this.name}.${field.name}: fixed numbers are not read here`);
      }
      if (field.repeated) object[field.name].push(...values);
      else object[field.name] = values[values.length - 1];
    }
    return object;
  }

  number(field, raw) {
    if (field.type === TYPE.SINT32 || field.type === TYPE.SINT64) return Number((raw >> 1n) ^ -(raw & 1n));
    return Number(BigInt.asIntN(64, raw));
  }
}

// What a descriptor set looks like, as far as it is needed: descriptor.proto.
function descriptorTypes() {
  const types = {};
  const field = (name, number, type, repeated, typeName) => ({name, number, type, repeated, typeName});
  const define = (name, fields) => { types[name] = new Message(name, fields, types); };
  define('Set', [field('file', 1, TYPE.MESSAGE, true, 'File')]);
  define('File', [field('package', 2, TYPE.STRING), field('message_type', 4, TYPE.MESSAGE, true, 'Type')]);
  define('Type', [field('name', 1, TYPE.STRING), field('field', 2, TYPE.MESSAGE, true, 'Field'), field('nested_type', 3, TYPE.MESSAGE, true, 'Type')]);
  define('Field', [field('name', 1, TYPE.STRING), field('number', 3, 5), field('label', 4, 5), field('type', 5, 5), field('type_name', 6, TYPE.STRING)]);
  return types;
}

function loadTypes(descriptorSet) {
  const types = {};
  const add = (prefix, type) => {
    const name = `${prefix}${type.name}`;
    const fields = type.field.map((f) => ({name: f.name, number: f.number, type: f.type, repeated: f.label === REPEATED, typeName: f.type_name.slice(1)}));
    types[name] = new Message(name, fields, types);
    for (const nested of type.nested_type) add(`${name}.`, nested);
  };
  for (const file of descriptorTypes().Set.decode(descriptorSet).file) {
    for (const type of file.message_type) add(file.package ? `${file.package}.` : '', type);
  }
  return types;
}

module.exports = {loadTypes};
