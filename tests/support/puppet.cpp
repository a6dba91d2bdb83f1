// The process of a FakeWorker: it does nothing, says which signals came, and exits with the code
// that the test writes to descriptor 3; when the test itself has gone, it goes too. With an
// argument it hears SIGTERM and SIGQUIT, too, and lives on.
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace {

const char* name_of(int number) {
    return number == SIGUSR1   ? "SIGUSR1\n"
           : number == SIGINT  ? "SIGINT\n"
           : number == SIGTERM ? "SIGTERM\n"
                               : "SIGQUIT\n";
}

void say(int number) {
    const char* const name = name_of(number);
    // What cannot be written has no reader any more.
    if (::write(STDOUT_FILENO, name, std::strlen(name)) < 0) {
        ::_exit(1);
    }
}

}  // namespace

int main(int argc, char**) {
    struct sigaction act {};
    act.sa_handler = say;
    ::sigaction(SIGUSR1, &act, nullptr);
    ::sigaction(SIGINT, &act, nullptr);
    if (argc > 1) {
        ::sigaction(SIGTERM, &act, nullptr);
        ::sigaction(SIGQUIT, &act, nullptr);
    }
    if (::write(STDOUT_FILENO, "up\n", 3) < 0) {
        return 1;
    }
    unsigned char code = 0;
    ssize_t got;
    do {
        got = ::read(3, &code, 1);
    } while (got < 0 && errno == EINTR);
    return got == 1 ? code : 1;
}
