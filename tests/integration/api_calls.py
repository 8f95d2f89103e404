"""Any method of the public API by its descriptor, with any token: for tests of who may call what."""

import os
import pathlib
import subprocess
import uuid

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from cluster import RUNFILES


def _pool():
    protos = sorted(str(p.relative_to(RUNFILES / "proto")) for p in (RUNFILES / "proto/reeve/v1").glob("*.proto"))
    described = pathlib.Path(os.environ["TEST_TMPDIR"]) / "reeve_v1.descriptors"
    subprocess.run(["protoc", f"-I{RUNFILES}/proto", "--include_imports", f"--descriptor_set_out={described}", *protos], check=True)
    files = descriptor_pb2.FileDescriptorSet.FromString(described.read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    return pool


class Api:
    """Methods by name, e.g. `JobService/CreateJob`."""

    def __init__(self):
        self.pool = _pool()
        self.factory = message_factory.MessageFactory(self.pool)
        file = self.pool.FindFileByName("reeve/v1/services.proto")
        self.methods = {f"{service.name}/{method.name}": method for service in file.services_by_name.values()
                        for method in service.methods}

    def message(self, name, **fields):
        return self.factory.GetPrototype(self.pool.FindMessageTypeByName(f"reeve.v1.{name}"))(**fields)

    def roles(self, name):
        """Those that the method's rule names."""
        rule = self.pool.FindExtensionByName("reeve.v1.rule")
        self.factory.GetMessages(["reeve/v1/access.proto"])
        options = descriptor_pb2.MethodOptions.FromString(self.methods[name].GetOptions().SerializeToString())
        raw = dict((number, data) for number, data in _fields(options.SerializeToString()))
        message = self.factory.GetPrototype(rule.message_type)()
        message.ParseFromString(raw.get(rule.number, b""))
        enum = self.pool.FindEnumTypeByName("reeve.v1.Token.Role")
        return {enum.values_by_number[role].name for role in message.roles}

    def call(self, channel, name, /, bearer=None, timeout=20, **fields):
        """The answer, or for a stream all answers. Raises grpc.RpcError."""
        method = self.methods[name]
        request = self.factory.GetPrototype(method.input_type)(**fields)
        if "request_id" in method.input_type.fields_by_name and not request.request_id:
            request.request_id = str(uuid.uuid4())
        answer = self.factory.GetPrototype(method.output_type)
        streams_in, streams_out = _streaming(self.pool, method)
        kind = {(False, False): channel.unary_unary, (False, True): channel.unary_stream,
                (True, False): channel.stream_unary, (True, True): channel.stream_stream}[streams_in, streams_out]
        stub = kind(f"/reeve.v1.{name}", request_serializer=lambda m: m.SerializeToString(), response_deserializer=answer.FromString)
        metadata = [("authorization", f"Bearer {bearer}")] if bearer is not None else []
        sent = iter([request]) if streams_in else request
        got = stub(sent, metadata=metadata, timeout=timeout)
        return list(got) if streams_out else got

    def outcome(self, channel, name, /, bearer=None, **fields):
        """The name of the status."""
        try:
            self.call(channel, name, bearer, **fields)
            return "OK"
        except grpc.RpcError as error:
            return error.code().name


def _streaming(pool, method):
    proto = descriptor_pb2.FileDescriptorProto()
    method.containing_service.file.CopyToProto(proto)
    for service in proto.service:
        for one in service.method:
            if service.name == method.containing_service.name and one.name == method.name:
                return one.client_streaming, one.server_streaming
    raise KeyError(method.full_name)


def _fields(data):
    """Length-delimited fields of a message."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
    while at < len(data):
        tag = varint()
        if tag & 7 == 2:
            size = varint()
            yield tag >> 3, data[at:at + size]
            at += size
        else:
            varint()
