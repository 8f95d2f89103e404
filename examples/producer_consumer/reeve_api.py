"""The API, for the generated client: an address and a token are all there is to it."""

import os
import sys

sys.path.insert(0, "generated")

import grpc
from reeve.v1 import batch_pb2, job_pb2, services_pb2, services_pb2_grpc  # noqa: F401


def connect():
    """Returns the job service, and what each call of it needs."""
    with open(os.environ["REEVE_TOKEN_FILE"]) as token:
        call = {"metadata": [("authorization", f"Bearer {token.read().strip()}")]}
    return services_pb2_grpc.JobServiceStub(grpc.insecure_channel(os.environ["REEVE_MASTER"])), call
