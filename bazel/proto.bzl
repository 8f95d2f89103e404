"""C++ from .proto files with Debian's protoc.

Sources import each other relative to the folder `proto`, so that users in any language compile with `-I proto`.
"""

def reeve_cc_proto(name, srcs, deps = [], grpc = False, visibility = None):
    """Generates and compiles `srcs` (labels in //proto).

    Args:
      name: of the resulting cc_library; include as "reeve/v1/job.pb.h".
      srcs: .proto files of this package.
      deps: other reeve_cc_proto libraries whose files are imported.
      grpc: also generate service stubs (`.grpc.pb.h`).
      visibility: of the library.
    """
    kinds = ["pb"] + (["grpc.pb"] if grpc else [])
    stems = [src[:-len(".proto")] for src in srcs]
    headers = [stem + "." + kind + ".h" for stem in stems for kind in kinds]
    sources = [stem + "." + kind + ".cc" for stem in stems for kind in kinds]
    command = "protoc -I proto --cpp_out=$(RULEDIR)"
    if grpc:
        command += " --plugin=protoc-gen-grpc=/usr/bin/grpc_cpp_plugin --grpc_out=$(RULEDIR)"
    native.genrule(
        name = name + "_generate",
        srcs = srcs + ["//proto:all_protos"],
        outs = headers + sources,
        cmd = command + " " + " ".join(["$(location %s)" % src for src in srcs]),
    )
    native.cc_library(
        name = name,
        srcs = sources,
        hdrs = headers,
        # Generated code is not ours to warn about.
        copts = ["-w"],
        includes = ["."],
        visibility = visibility,
        deps = deps + [
            "@system//:protobuf",
        ] + (["@system//:grpcpp"] if grpc else []),
    )
