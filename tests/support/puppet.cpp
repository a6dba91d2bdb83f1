// The process of a FakeWorker: it does nothing, says which signals came, and exits with the code
// that the test writes to descriptor 3; when the test itself has gone, it goes too.
#include <signal.h>
#include <unistd.h>

#include <cerrno>

namespace {

void say(int number) {
    const bool soft = number == SIGUSR1;
    // What cannot be written has no reader any more.
    if (::write(STDOUT_FILENO, soft ? "SIGUSR1\n" : "SIGINT\n", soft ? 8 : 7) < 0) {
        ::_exit(1);
    }
}

}  // namespace

int main() {
    struct sigaction act {};
    act.sa_handler = say;
    ::sigaction(SIGUSR1, &act, nullptr);
    ::sigaction(SIGINT, &act, nullptr);
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
