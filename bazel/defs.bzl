"""Our C++ rules: the native ones with our warnings, private by default."""

_WARNINGS = [
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wnon-virtual-dtor",
    "-Woverloaded-virtual",
    # Designated initialisers leave defaults out on purpose.
    "-Wno-missing-field-initializers",
] + select({
    "//bazel:clang": [
        "-Wthread-safety",
        # clang 14 does not know that Debian's headers are older than some of its opinions.
        "-Wno-unknown-warning-option",
    ],
    # GCC 12 sees dangling pointers in optimised standard library code that is correct (GCC bug 105329 and kin).
    "//conditions:default": [
        "-Wno-restrict",
        "-Wno-maybe-uninitialized",
        "-Wno-stringop-overflow",
        "-Wno-array-bounds",
    ],
})

def reeve_cc_library(name, copts = [], **kwargs):
    native.cc_library(name = name, copts = _WARNINGS + copts, **kwargs)

def reeve_cc_binary(name, copts = [], **kwargs):
    native.cc_binary(name = name, copts = _WARNINGS + copts, **kwargs)

def reeve_cc_test(name, size, copts = [], deps = [], env = {}, data = [], **kwargs):
    """A GoogleTest program; `size` is explicit."""
    native.cc_test(
        name = name,
        size = size,
        copts = _WARNINGS + copts,
        deps = deps + ["@system//:gtest_main"],
        data = data + ["//bazel:tsan.supp"],
        env = dict(
            TSAN_OPTIONS = "suppressions=bazel/tsan.supp:second_deadlock_stack=1",
            **env
        ),
        **kwargs
    )

def reeve_cc_replay_test(name, srcs, corpus, folder, deps):
    """A program without GoogleTest that is run over the files of a corpus."""
    native.cc_test(
        name = name,
        size = "small",
        srcs = srcs,
        args = [folder],
        copts = _WARNINGS,
        data = corpus,
        deps = deps,
    )
