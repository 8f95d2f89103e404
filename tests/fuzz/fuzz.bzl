"""A fuzz target: one file, replayed over its corpus by every `bazel test`, fuzzed by tests/fuzz/run."""

load("//bazel:defs.bzl", "reeve_cc_binary", "reeve_cc_library", "reeve_cc_replay_test")

def reeve_fuzz_target(name, deps):
    """Declares NAME_replay_test (any compiler) and NAME_fuzzer (only with --config=fuzz).

    Args:
      name: of the target; its source is NAME.cc, its corpus corpus/NAME.
      deps: what it decodes with.
    """
    reeve_cc_library(
        name = name,
        testonly = True,
        srcs = [name + ".cc"],
        deps = deps + [":fuzz"],
    )
    reeve_cc_replay_test(
        name = name + "_replay_test",
        srcs = ["replay.cc", "entry.cc"],
        corpus = native.glob(["corpus/%s/*" % name]),
        folder = "tests/fuzz/corpus/" + name,
        deps = [name],
    )
    reeve_cc_binary(
        name = name + "_fuzzer",
        testonly = True,
        srcs = ["entry.cc"],
        linkopts = ["-fsanitize=fuzzer"],
        tags = ["manual"],
        deps = [name],
    )
