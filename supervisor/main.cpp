#include "cli/cli.hpp"
#include "daemon.hpp"

int main(int argc, char** argv) {
    return supervise::cli::run_cli(argc, argv, supervise::run_daemon);
}
