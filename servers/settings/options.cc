// SPDX-License-Identifier: MIT
// Reads options in two steps: CLI11 and the configuration file fill in Texts, and take() in
// texts.cc turns these texts into Options. The help texts are here.
#include "servers/settings/options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>
#include <sstream>

#include "reactor/http/http_options.h"
#include "reactor/prefork/pid_file.h"
#include "servers/settings/brief.h"
#include "servers/settings/config_file.h"
#include "servers/settings/messages.h"
#include "servers/settings/nearest.h"
#include "servers/settings/texts.h"
#include "servers/settings/values.h"

namespace servers {
namespace {

// Options for a single run of the program. They can't be set in the file.
const std::set<std::string> kNoSettings = {"config", "check-config", "signal", "version", "help"};

std::string environment_name(std::string flag) {
  for (char& c : flag) c = c == '-' ? '_' : static_cast<char>(std::toupper(c));
  return "REACTOR_" + flag;
}

// Adds an option that may be given several times; the last value counts.
void add_text(CLI::App& app, const std::string& flags, std::string& value, const std::string& help,
              const std::string& type) {
  app.add_option(flags, value, help)
      ->type_name(type)
      ->envname(environment_name(flags.substr(flags.rfind("--") + 2)))
      ->capture_default_str()
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
}

void declare_http(CLI::App& app, Texts& texts, Service& service) {
  const auto text = [&app](const std::string& flags, std::string& value, const std::string& help,
                           const std::string& type) { add_text(app, flags, value, help, type); };
  text("--keep-alive", texts.keep_alive,
       "time that a connection may wait for its next request; 0: it is closed after each response",
       "SECONDS");
  text("--header-timeout", texts.header_timeout,
       "time for the head of a request to arrive; then 408", "SECONDS");
  text("--body-timeout", texts.body_timeout,
       "time for the body of a request to arrive, to which --body-rate adds; then 408", "SECONDS");
  text("--body-rate", texts.body_rate,
       "every BYTES bytes of a body that arrive add a second to --body-timeout; 0: none is added",
       "BYTES");
  text("--write-timeout", texts.write_timeout,
       "time without progress while a client does not read its responses; 0: no limit", "SECONDS");
  text("--max-line", texts.max_line, "longest request line; a longer one gets 414", "BYTES");
  text("--max-header", texts.max_header, "largest header section; a larger one gets 431", "BYTES");
  text("--max-fields", texts.max_fields, "most header fields; a request with more gets 431", "N");
  text("--max-body", texts.max_body, "largest body of a request; a larger one gets 413", "BYTES");
  text("--body", service.body, "body of every response", "TEXT");
  text("--content-type", service.content_type, "media type of --body", "TYPE");
  text("--access-log", texts.access_log,
       "file or FIFO that gets a line for each request; - is standard output", "FILE|-|off");
  text("--access-log-format", texts.access_log_format,
       "format of the access log: common, combined or json", "NAME");
}

// Declares the options about the clients and how to serve them.
void declare_service(CLI::App& app, Program program, Texts& texts) {
  // This option has no envname(): binds_of() reads REACTOR_BIND, which may hold several addresses.
  app.add_option(
         "-b,--bind", texts.bind,
         "address to listen on: HOST:PORT, :PORT, [V6]:PORT, unix:PATH, unix:@NAME, fd:N (a "
         "listening socket that the parent left open) or systemd (its socket units); repeatable "
         "(REACTOR_BIND: with commas between them); port 0 picks a free port")
      ->type_name("ADDR")
      ->expected(1)
      ->allow_extra_args(false)  // else [::1] would be read as a list in brackets
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->default_str(default_bind(program));
  const auto text = [&app](const std::string& flags, std::string& value, const std::string& help,
                           const std::string& type) { add_text(app, flags, value, help, type); };
  text("-w,--workers", texts.workers,
       "number of worker processes; auto is one per processor, 0 serves in this process", "N|auto");
  text("--backlog", texts.backlog, "most connections that may wait to be accepted", "N");
  text("--max-connections", texts.max_connections,
       "most connections at once per worker; 0 is the descriptor limit less a reserve", "N");
  text("--backend", texts.backend,
       "way to wait for events: auto, epoll, kqueue or select, if it is built in", "NAME");
  text("--model", texts.model,
       "prefork: the workers serve the connections; fork: each gets a process of its own",
       "prefork|fork");
  text("--max-children", texts.max_children,
       "most connections at once per worker with --model fork", "N");
  text("--reuse-port", texts.reuse_port, "one listening socket per worker", "on|off");
  text("--proxy-protocol", texts.proxy_protocol,
       "version of the PROXY header with which a proxy in front begins each connection; a "
       "connection without the header is dropped",
       "off|v1|v2|auto");
  app.add_option("--proxy-allow-from", texts.proxy_allow_from,
                 "addresses or networks of the proxies; repeatable, or with commas between them; "
                 "other connections are dropped, except on unix sockets")
      ->type_name("CIDR")
      ->envname(environment_name("proxy-allow-from"))
      ->expected(1)
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  if (has_tls()) {
    text("--tls-cert", texts.tls_cert,
         "speak TLS with these certificates in PEM form: the server's own, then the intermediate "
         "ones",
         "FILE");
    text("--tls-key", texts.tls_key, "private key of the certificate in PEM form, not encrypted",
         "FILE");
    text("--tls-groups", texts.tls_groups,
         "groups for the key exchange, the preferred one first; a client that offers none of them "
         "is refused",
         "LIST");
  }
}

// Declares the options about the processes and their surroundings.
void declare_operation(CLI::App& app, Program program, Texts& texts, Options& options) {
  const auto text = [&app](const std::string& flags, std::string& value, const std::string& help,
                           const std::string& type) { add_text(app, flags, value, help, type); };
  text("--graceful-timeout", texts.graceful_timeout,
       "time for busy connections to finish after TERM, INT or a reload", "SECONDS");
  text("--pin", texts.pin,
       "processors to pin the workers to, one each; a connection goes to the worker on the "
       "processor that received it",
       "none|auto|LIST");
  text("--timeout", texts.timeout,
       "a worker whose loop is silent for this time is replaced; 0: no limit", "SECONDS");
  text("--max-requests", texts.max_requests,
       program == Program::echo
           ? "a worker is replaced after N connections, or up to a tenth fewer; 0: never"
           : "a worker is replaced after N requests, or up to a tenth fewer; 0: never",
       "N");
  if (program == Program::echo) {
    text("--reply", texts.reply,
         "answer to received data: the data itself, `PID: data`, or `Echo=>data at TIME`",
         "raw|pid|time");
    text("--udp-rate", texts.udp_rate,
         "most answers a second to the datagrams of one source, per worker; 0: no limit", "N");
    text("--udp-low-ports", texts.udp_low_ports,
         "whether to answer datagrams from ports below 1024, which other services use", "on|off");
    text("--idle-timeout", texts.idle_timeout,
         "a connection on which nothing moves for this time is closed; 0: never", "SECONDS");
  }
  if (program == Program::http_ok) declare_http(app, texts, options.service);
  text("--log-level", texts.log_level,
       "lowest level to log: trace, debug, info, warn, error, critical or off", "LEVEL");
  text("--log", options.log, "file that the log is appended to; - is standard error", "FILE|-");
  text("-p,--pid", options.pid, "file for the pid, which stays locked while the server runs",
       "FILE");
  text("-u,--user", options.user, "user that the workers become after binding; needs root", "NAME");
  text("-g,--group", options.group, "group that the workers get; by default the user's own",
       "NAME");
  text("-c,--config", texts.config,
       "file of lines KEY = VALUE, where KEY is an option's name without dashes; the command line "
       "and the environment take precedence",
       "FILE");
  app.add_flag("-t,--check-config", texts.check_config,
               "check all settings, those of the file too, and serve nothing");
  app.add_option(
         "-s,--signal", texts.command,
         "send a command to the server that holds the --pid file: reload, stop, quit, reopen, "
         "upgrade or status")
      ->type_name("NAME");
}

void declare(CLI::App& app, Program program, Texts& texts, Options& options) {
  declare_service(app, program, texts);
  declare_operation(app, program, texts, options);
  app.set_version_flag("-V,--version", std::string(name_of(program)) + " " + REACTOR_VERSION);
}

// ---- The configuration file ----

bool is_in_environment(const std::string& key) {
  const char* const value = std::getenv(environment_name(key).c_str());
  return value != nullptr && *value != '\0';
}

std::vector<std::string> keys_of(const CLI::App& app) {
  std::vector<std::string> keys;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) {
      if (!kNoSettings.contains(name)) keys.push_back(name);
    }
  }
  return keys;
}

// Returns the message for the first unknown option on the command line, or, if all are known, for
// the first word that belongs to no option.
std::string unknown_option(const CLI::App& app) {
  const std::vector<std::string> words = app.remaining();
  const auto dashed = std::find_if(words.begin(), words.end(),
                                   [](const std::string& each) { return each[0] == '-'; });
  const std::string& word = dashed != words.end() ? *dashed : words.front();
  const std::string name = word.substr(0, word.find('='));
  const std::string guess = nearest(name, keys_of(app));
  return brief(name) + ": no such option; " +
         (guess.empty() ? "see --help" : "did you mean --" + guess + "?");
}

BadConfig unknown(const std::string& path, const Setting& setting,
                  const std::vector<std::string>& keys) {
  const std::string guess = nearest(setting.key, keys);
  return {path, setting.line,
          brief(setting.key) + ": no such key; " +
              (guess.empty() ? "--help names them all" : "did you mean " + guess + "?")};
}

// Returns the settings of a file. Throws BadConfig if a key is unknown, or if two lines have the
// same key and that key is not repeatable.
std::vector<Setting> read_settings(const CLI::App& app, const std::string& path) {
  std::vector<Setting> settings = read_config("--config", path);
  const std::vector<std::string> keys = keys_of(app);
  std::map<std::string, unsigned> first_lines;
  for (const Setting& setting : settings) {
    if (std::find(keys.begin(), keys.end(), setting.key) == keys.end()) {
      throw unknown(path, setting, keys);
    }
    const auto [first, fresh] = first_lines.emplace(setting.key, setting.line);
    const auto policy = app.get_option("--" + setting.key)->get_multi_option_policy();
    if (!fresh && policy != CLI::MultiOptionPolicy::TakeAll) {
      throw BadConfig::twice(path, setting.line, setting.key, first->second);
    }
  }
  return settings;
}

// Sets, from the file at `path`, the options that neither a flag nor the environment set. Returns
// the settings that were used.
std::vector<Setting> apply_file(CLI::App& app, const std::string& path) {
  std::vector<Setting> settings = read_settings(app, path);
  std::erase_if(settings, [&app](const Setting& setting) {
    return app.count("--" + setting.key) > 0 || is_in_environment(setting.key);
  });
  std::set<CLI::Option*> touched;
  for (const Setting& setting : settings) {
    CLI::Option* const option = app.get_option("--" + setting.key);
    option->add_result(setting.value);
    touched.insert(option);
  }
  for (CLI::Option* option : touched) option->run_callback();
  return settings;
}

// Returns the texts of all options that were set, whether by flag, environment or file.
std::map<std::string, std::string> given_settings(const CLI::App& app) {
  std::map<std::string, std::string> given;
  for (const std::string& key : keys_of(app)) {
    for (const std::string& value : app.get_option("--" + key)->results()) {
      given[key] += value + '\n';
    }
  }
  return given;
}

// Returns the whole message for the user. If the bad value is from the configuration file, the
// message names the line there.
std::string explain(const BadValue& error, const std::string& path,
                    const std::vector<Setting>& settings) {
  for (const Setting& setting : settings) {
    if ("--" + setting.key != error.flag() || setting.value != error.value()) continue;
    return BadConfig(path, setting.line, setting.key + error.rest()).what();
  }
  return error.what();
}

// Takes from the options only the two that a command to a running server needs: the name of the
// command and the pid file. Other options may be wrong by now, and that must not keep the operator
// from stopping the server.
void take_command(const Texts& texts, Options& options) {
  const std::optional<Command> command = command_named(texts.command);
  if (!command) {
    throw BadValue("--signal", texts.command, "no such command",
                   "give reload, stop, quit, reopen, upgrade or status");
  }
  options.command = command;
  if (options.pid.empty() && !texts.config.empty()) {
    const std::optional<Setting> setting = find_setting("--config", texts.config, "pid");
    if (setting) options.pid = setting->value;
  }
  if (!options.pid.empty()) return;
  throw BadValue("--signal", texts.command, "no pid file is given",
                 "name the server's by --pid FILE");
}

void check_log(const std::string& flag, const std::string& path) {
  if (path == "-") return;
  const reactor::Result<> writable = reactor::http::AccessLog::check(path);
  if (writable) return;
  throw BadValue(flag, path, writable.error().message(),
                 "give a file that this user may write, or - for standard error");
}

void check_pid_file(const std::string& flag, const std::string& path) {
  if (path.empty()) return;
  const std::error_code error = reactor::prefork::PidFile::check(path);
  if (error) throw bad_pid_file(flag, path, error);
}

void say(Parsed& parsed, int exit_code, std::string text) {
  parsed.exit_code = exit_code;
  parsed.text = std::move(text);
}

void refuse(Parsed& parsed, const std::string& what) { say(parsed, kExitUsage, what); }

}  // namespace

Parsed parse_options(Program program, int argc, const char* const* argv, const Fixed* running) {
  Parsed parsed;
  Texts texts;
  CLI::App app(program == Program::echo ? "Sends back the data that it receives, on every core."
                                        : "Answers every HTTP request with 200 and a fixed body.",
               name_of(program));
  declare(app, program, texts, parsed.options);
  std::vector<Setting> settings;
  try {
    app.parse(argc, argv);
    if (!texts.command.empty()) take_command(texts, parsed.options);
    if (parsed.options.command && !texts.check_config) return parsed;
    if (!texts.config.empty()) settings = apply_file(app, texts.config);
    parsed.options.given = given_settings(app);
    take(program, texts, parsed.options, running);
    if (!texts.check_config) return parsed;
    check_log("--log", parsed.options.log);
    check_pid_file("--pid", parsed.options.pid);
    say(parsed, 0, "configuration ok\n");
  } catch (const CLI::Success& success) {
    std::ostringstream text;
    const int exit_code = app.exit(success, text, text);  // --help and --version
    say(parsed, exit_code, text.str());
  } catch (const CLI::ExtrasError&) {
    refuse(parsed, unknown_option(app));
  } catch (const CLI::ParseError& error) {
    refuse(parsed, brief(error.what()) + "; see --help");
  } catch (const BadValue& error) {
    refuse(parsed, explain(error, texts.config, settings));
  } catch (const BadConfig& error) {
    refuse(parsed, error.what());
  }
  return parsed;
}

}  // namespace servers
