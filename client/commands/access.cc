#include "client/commands/access.h"

#include <dirent.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "base/certificate.h"
#include "base/error.h"
#include "base/state_folder.h"
#include "base/strings.h"
#include "client/canceller.h"
#include "client/commands/inspect.h"
#include "client/enrolment.h"
#include "client/exit_code.h"
#include "client/input/duration.h"
#include "client/interrupt.h"
#include "client/output/json.h"
#include "client/output/table.h"
#include "client/programs.h"

namespace reeve {
namespace {

constexpr absl::Duration kDrainPoll = absl::Milliseconds(200);

absl::Status LocalError(std::string_view message) {
  return MakeError(absl::StatusCode::kFailedPrecondition, "LOCAL", message);
}

std::string Roles(const v1::Token& token) {
  std::vector<std::string> names;
  for (const int role : token.roles())
    names.push_back(
        absl::AsciiStrToLower(v1::Token::Role_Name(static_cast<v1::Token::Role>(role))));
  return absl::StrJoin(names, ",");
}

absl::StatusOr<v1::Token::Role> ParseRole(const std::string& name) {
  v1::Token::Role role = v1::Token::ROLE_UNSPECIFIED;
  if (v1::Token::Role_Parse(absl::AsciiStrToUpper(name), &role) &&
      role != v1::Token::ROLE_UNSPECIFIED)
    return role;
  return UsageError(StrCat("--role ", name, ": submit, read, admin or worker"));
}

std::string When(const google::protobuf::Timestamp& time) {
  return absl::FormatTime("%Y-%m-%d %H:%M", absl::FromUnixSeconds(time.seconds()),
                          absl::LocalTimeZone());
}

// A line from the terminal that is not shown.
absl::StatusOr<std::string> Prompt(std::string_view question) {
  if (isatty(STDIN_FILENO) == 0)
    return UsageError("no token: give --token-file FILE, or run this in a terminal to be asked");
  std::cerr << question << std::flush;
  termios before{};
  tcgetattr(STDIN_FILENO, &before);
  termios quiet = before;
  quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
  tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
  std::string line;
  std::getline(std::cin, line);
  tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
  std::cerr << '\n';
  return line;
}

// The way into `address` by --token-file or by asking, with the authority fetched.
absl::StatusOr<ClusterAccess> AccessFor(Session& session, const Address& address,
                                        const std::string& authority_file = "") {
  ClusterAccess access;
  if (!authority_file.empty()) {
    const auto authority = ReadSmallFile(authority_file);
    if (!authority.ok() || !Fingerprint(*authority).ok())
      return UsageError(StrCat(authority_file, " holds no certificate"));
    access.authority = *authority + "\n";
  }
  const std::string file = session.settings().Get("token_file");
  const absl::StatusOr<std::string> token = file.empty() ? Prompt("token: ") : ReadSmallFile(file);
  if (!token.ok())
    return file.empty() ? token.status()
                        : UsageError(StrCat("cannot read the token: ", token.status().message()));
  access.token = *token;
  if (access.token.empty() || access.token.find_first_of(" \t\r\n") != std::string::npos)
    return UsageError("the token is one line without blanks");
  if (absl::Status s = CompleteAccess(address, &access); !s.ok()) return s;
  return access;
}

}  // namespace

absl::StatusOr<int> RunTokenCreate(Session& session, const TokenOptions& options) {
  v1::Token wanted;
  wanted.set_principal(options.principal);
  for (const std::string& name : options.roles) {
    const auto role = ParseRole(name);
    if (!role.ok()) return role.status();
    wanted.add_roles(*role);
  }
  for (const std::string& handler : options.handlers) wanted.add_handlers(handler);
  if (!options.expires.empty()) {
    const auto life = ParseDurationOption("--expires", options.expires);
    if (!life.ok()) return life.status();
    wanted.mutable_expire_time()->set_seconds(absl::ToUnixSeconds(absl::Now() + *life));
  }
  const auto client = session.Connect();
  if (!client.ok()) return client.status();
  const auto made = (*client)->CreateToken(wanted);
  if (!made.ok()) return made.status();
  if (options.out.empty()) {
    session.Print(*made, made->text() + "\n");
    return kExitOk;
  }
  if (absl::Status s = WriteSecretFile(options.out, made->text()); !s.ok())
    return LocalError(ToStd(s.message()));
  session.Print(made->token(), StrCat("token ", made->token().token_id(), " of ",
                                      made->token().principal(), " is in ", options.out, "\n"));
  return kExitOk;
}

absl::StatusOr<int> RunTokenList(Session& session) {
  const auto client = session.Connect();
  if (!client.ok()) return client.status();
  const auto tokens = (*client)->ListTokens();
  if (!tokens.ok()) return tokens.status();
  Table table({"TOKEN", "PRINCIPAL", "ROLES", "HANDLERS", "CREATED", "EXPIRES"});
  for (const v1::Token& token : tokens->tokens()) {
    table.Add({token.token_id(), token.principal(), Roles(token),
               token.handlers().empty() ? "all" : absl::StrJoin(token.handlers(), ","),
               When(token.create_time()),
               token.has_expire_time() ? When(token.expire_time()) : "never"});
  }
  session.Print(*tokens, table.ToString());
  return kExitOk;
}

absl::StatusOr<int> RunTokenRevoke(Session& session, const std::string& token) {
  const auto client = session.Connect();
  if (!client.ok()) return client.status();
  const auto revoked = (*client)->RevokeToken(token);
  if (!revoked.ok()) return revoked.status();
  session.Print(*revoked, StrCat("revoked ", revoked->revoked_count(), " token",
                                 revoked->revoked_count() == 1 ? "" : "s", "\n"));
  return kExitOk;
}

absl::StatusOr<int> RunContextAdd(Session& session, const std::string& text,
                                  const std::string& authority_file) {
  const auto address = ParseAddress(text);
  if (!address.ok()) return address.status();
  const auto access = AccessFor(session, *address, authority_file);
  if (!access.ok()) return access.status();
  // A token that is refused is not kept; one that may not look is.
  JobClient client(address->ToString(), *access);
  const auto cluster = client.GetCluster();
  if (!cluster.ok() && !absl::IsPermissionDenied(cluster.status())) return cluster.status();
  if (absl::Status s = SaveAccess(*address, *access); !s.ok()) return s;
  session.console().Note(StrCat("the way into ", address->ToString(), " is kept in ",
                                TokenFileOf(*address), "; next: reeve --master ",
                                address->ToString(), " ps"));
  return kExitOk;
}

absl::StatusOr<int> RunContextList(Session& session) {
  const std::string folder = ConfigFolder() + "/clusters";
  std::vector<std::string> names;
  if (DIR* listing = opendir(folder.c_str()); listing != nullptr) {
    while (const dirent* entry = readdir(listing)) {
      const std::string name = entry->d_name;
      if (absl::EndsWith(name, ".token")) names.push_back(name.substr(0, name.size() - 6));
    }
    closedir(listing);
  }
  std::sort(names.begin(), names.end());
  Table table({"MASTER", "ENCRYPTED", "TOKEN"});
  JsonWriter json;
  json.BeginArray();
  for (const std::string& name : names) {
    const size_t line = name.rfind('_');
    if (line == std::string::npos) continue;
    const std::string host = name.substr(0, line), port = name.substr(line + 1);
    const bool is_v6 = host.find(':') != std::string::npos;
    const std::string address = is_v6 ? StrCat("[", host, "]:", port) : StrCat(host, ":", port);
    const std::string file = StrCat(folder, "/", name);
    const bool has_tls = access((file + ".ca").c_str(), F_OK) == 0;
    table.Add({address, has_tls ? "yes" : "no", file + ".token"});
    json.BeginObject().Key("master").String(address);
    json.Key("encrypted").Bool(has_tls);
    json.Key("token_file").String(file + ".token").EndObject();
  }
  json.EndArray();
  session.console().Out(session.console().is_json() ? json.text() + "\n" : table.ToString());
  return kExitOk;
}

absl::StatusOr<int> RunContextRemove(Session& session, const std::string& text) {
  const auto address = ParseAddress(text);
  if (!address.ok()) return address.status();
  unlink(AuthorityFileOf(*address).c_str());
  if (unlink(TokenFileOf(*address).c_str()) != 0)
    return MakeError(absl::StatusCode::kNotFound, "LOCAL",
                     StrCat("nothing is kept for ", address->ToString()));
  session.console().Note(StrCat("forgot ", address->ToString()));
  return kExitOk;
}

// A worker that would refuse to start is better told so before it is enrolled.
absl::Status CheckUser(const Address& address, const JoinOptions& options) {
  const bool may =
      std::find(options.flags.begin(), options.flags.end(), "--allow-root") != options.flags.end();
  if (geteuid() != 0 || may || options.no_start || options.relay || address.is_loopback())
    return absl::OkStatus();
  return UsageError(
      "a worker does not run as root for another machine: run this as a user of its own, or add "
      "`-- --allow-root`");
}

absl::StatusOr<int> RunWorkerJoin(Session& session, const JoinOptions& options) {
  const auto address = ParseAddress(options.address);
  if (!address.ok()) return address.status();
  if (absl::Status s = CheckUser(*address, options); !s.ok()) return s;
  std::string folder = options.state_folder;
  if (folder.empty()) folder = DefaultWorkerFolder();
  const std::string key_file = folder + "/worker.key";
  const auto access = AccessFor(session, *address);
  if (!access.ok()) return access.status();
  JobClient client(address->ToString(), *access);
  if (absl::Status s = EnrolWorker(client, folder, key_file, options.relay); !s.ok()) return s;
  if (options.relay) {
    session.console().Note(
        StrCat("enrolled; start it with: reeve-collector --master ",
               Address{address->host, static_cast<uint16_t>(address->port + 2)}.ToString(),
               " --key-file ", key_file, " --listen ADDRESS"));
    return kExitOk;
  }
  const auto program = FindProgram("reeve-worker", "worker");
  if (!program.ok()) return program.status();
  std::vector<std::string> words = {
      *program, "--master", address->ToString(), "--key-file", key_file, "--state-dir", folder};
  words.insert(words.end(), options.flags.begin(), options.flags.end());
  if (options.no_start) {
    session.console().Note(StrCat("enrolled; the token is not needed any more. Start it with: ",
                                  absl::StrJoin(words, " ")));
    return kExitOk;
  }
  session.console().Note(
      StrCat("enrolled; from now on `", absl::StrJoin(words, " "), "` is enough. Starting it"));
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  execv(argv[0], argv.data());
  return LocalError(StrCat("cannot start ", *program, ": ", strerror(errno)));
}

absl::StatusOr<int> RunWorkerDrain(Session& session, const DrainOptions& options) {
  absl::Time deadline = absl::InfiniteFuture();
  if (!options.timeout.empty()) {
    const auto parsed = ParseDurationOption("--timeout", options.timeout);
    if (!parsed.ok()) return parsed.status();
    deadline = absl::Now() + *parsed;
  }
  const std::string& name = options.worker;
  const auto client = session.Connect();
  if (!client.ok()) return client.status();
  const auto worker = (*client)->DrainWorker(name, options.stay);
  if (!worker.ok()) return worker.status();
  session.Print(*worker, StrCat(name, " on ", worker->hostname(),
                                options.stay ? " finishes and stays, without work\n"
                                             : " finishes and leaves\n"));
  Canceller canceller;
  const Interrupt interrupt([&] { canceller.Cancel(); });
  while (options.wait) {
    const auto workers = ListAllWorkers(*client);
    if (!workers.ok()) return workers.status();
    const bool is_busy =
        std::any_of(workers->workers().begin(), workers->workers().end(), [&](const v1::Worker& w) {
          return w.worker() == name && w.worker_id() == worker->worker_id() &&
                 (!options.stay || w.held_count() > 0);
        });
    if (!is_busy) break;
    if (absl::Now() >= deadline) {
      return MakeError(absl::StatusCode::kDeadlineExceeded, "TIMEOUT",
                       StrCat(name, options.stay ? " still has work" : " is still there",
                              "; it goes on draining"));
    }
    if (!canceller.SleepFor(kDrainPoll)) return absl::CancelledError("interrupted");
  }
  return kExitOk;
}

absl::StatusOr<int> RunWorkerUndrain(Session& session, const std::string& name) {
  const auto client = session.Connect();
  if (!client.ok()) return client.status();
  const auto worker = (*client)->UndrainWorker(name);
  if (!worker.ok()) return worker.status();
  session.Print(*worker, StrCat(name, " on ", worker->hostname(), " takes work again\n"));
  return kExitOk;
}

absl::StatusOr<int> RunWorkerRevoke(Session& session, const std::string& worker) {
  const auto client = session.Connect();
  if (!client.ok()) return client.status();
  const auto revoked = (*client)->RevokeWorker(worker);
  if (!revoked.ok()) return revoked.status();
  session.Print(*revoked, StrCat("worker ", revoked->worker_id(), " cannot connect any more\n"));
  return kExitOk;
}

absl::StatusOr<int> RunWorkerEnrolled(Session& session) {
  const auto client = session.Connect();
  if (!client.ok()) return client.status();
  const auto enrolments = (*client)->ListEnrolments();
  if (!enrolments.ok()) return enrolments.status();
  Table table({"WORKER ID", "IS", "HOST", "ENROLLED", "BY"});
  for (const v1::Enrolment& one : enrolments->enrolments()) {
    table.Add({one.worker_id(),
               one.relay()            ? "relay"
               : one.worker().empty() ? "away"
                                      : one.worker(),
               Printable(one.hostname(), 60), When(one.enrol_time()), one.enrolled_by()});
  }
  session.Print(*enrolments, table.ToString());
  return kExitOk;
}

absl::StatusOr<int> RunRotateKeys(Session& session) {
  const auto client = session.Connect();
  if (!client.ok()) return client.status();
  if (absl::Status s = (*client)->RotateKeys(); !s.ok()) return s;
  session.console().Note("the master has new keys; workers connect again by themselves");
  return kExitOk;
}

}  // namespace reeve
