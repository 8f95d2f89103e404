// Writes method_rules.h: every method of the public API with the roles that may call it. Fails for
// a method without a rule, and so does the build.

#include <cstdio>
#include <string>

#include "reeve/v1/access.pb.h"
#include "reeve/v1/services.pb.h"

namespace {

// `kJobServiceCreateJob`.
std::string EnumName(const google::protobuf::MethodDescriptor& method) {
  return "k" + method.service()->name() + method.name();
}

uint32_t RolesOf(const google::protobuf::MethodDescriptor& method) {
  uint32_t roles = 0;
  for (const int role : method.options().GetExtension(reeve::v1::rule).roles()) roles |= 1u << role;
  return roles;
}

}  // namespace

int main() {
  const google::protobuf::FileDescriptor* file = reeve::v1::CreateJobRequest::descriptor()->file();
  std::string names, rules;
  for (int i = 0; i < file->service_count(); ++i) {
    for (int j = 0; j < file->service(i)->method_count(); ++j) {
      const google::protobuf::MethodDescriptor& method = *file->service(i)->method(j);
      const uint32_t roles = RolesOf(method);
      if (roles == 0) {
        std::fprintf(stderr, "%s has no rule: say who may call it\n", method.full_name().c_str());
        return 1;
      }
      names += "  " + EnumName(method) + ",\n";
      rules += "    {\"" + method.service()->full_name() + "/" + method.name() + "\", " +
               std::to_string(roles) + "u},\n";
    }
  }
  std::printf(
      "// Made from the rules in reeve/v1/services.proto.\n\n"
      "#ifndef REEVE_MASTER_SERVICE_METHOD_RULES_H_\n#define REEVE_MASTER_SERVICE_METHOD_RULES_H_\n"
      "\n#include <cstdint>\n#include <string_view>\n\nnamespace reeve {\n\n"
      "enum class Method : uint32_t {\n%s};\n\n"
      "struct MethodRule {\n  std::string_view name;\n  uint32_t roles;  // Of Role.\n};\n\n"
      "// By Method.\ninline constexpr MethodRule kMethodRules[] = {\n%s};\n\n}  // namespace "
      "reeve\n\n#endif\n",
      names.c_str(), rules.c_str());
  return 0;
}
