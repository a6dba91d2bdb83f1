#include "cli.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <iostream>

#include "command_line.hpp"
#include "commands.hpp"

namespace supervise::cli {

int run_cli(int argc, const char* const* argv, const Serve& serve, const Streams& streams) {
    const auto parsed = parse_command_line(argc, argv);
    if (const auto* said = std::get_if<Said>(&parsed)) {
        (said->exit_code == exit_done ? streams.out : streams.err) << said->text;
        return said->exit_code;
    }
    const auto& command_line = std::get<CommandLine>(parsed);
    if (command_line.command == CommandLine::Command::run) {
        return serve(command_line.config, command_line.lifeline);
    }
    return run_command(command_line, streams);
}

int run_cli(int argc, const char* const* argv, const Serve& serve) {
    Streams streams{std::cout, std::cerr};
    winsize size{};
    if (::isatty(STDOUT_FILENO) == 1 && ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0) {
        streams.screen = true;
        streams.columns = size.ws_col > 0 ? size.ws_col : streams.columns;
    }
    return run_cli(argc, argv, serve, streams);
}

}  // namespace supervise::cli
