"""An installable library: one archive of all a library consists of, its headers, and a pkg-config file."""

def _archive_impl(ctx):
    info = ctx.attr.library[CcInfo]
    objects, flags = [], []
    for linker_input in info.linking_context.linker_inputs.to_list():
        flags += [f for f in linker_input.user_link_flags if f.startswith("-l") and f not in flags]
        for library in linker_input.libraries:
            objects += library.pic_objects or library.objects or []
    archive = ctx.actions.declare_file("lib%s.a" % ctx.label.name)
    arguments = ctx.actions.args()
    arguments.use_param_file("@%s")
    arguments.add("rcsD")
    arguments.add(archive)
    arguments.add_all(objects)
    ctx.actions.run(
        outputs = [archive],
        inputs = objects,
        executable = "/usr/bin/ar",
        arguments = [arguments],
        mnemonic = "SdkArchive",
    )
    link_flags = ctx.actions.declare_file(ctx.label.name + ".flags")
    ctx.actions.write(link_flags, " ".join(flags) + "\n")
    return [
        DefaultInfo(files = depset([archive])),
        OutputGroupInfo(flags = depset([link_flags])),
    ]

cc_whole_archive = rule(
    doc = "lib<name>.a with the objects of `library` and all below it that is not the system's; the output group `flags` names the system's libraries.",
    implementation = _archive_impl,
    attrs = {"library": attr.label(providers = [CcInfo], mandatory = True)},
)
